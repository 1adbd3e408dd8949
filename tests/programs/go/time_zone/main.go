package main

import (
	"fmt"
	"time"
)

func main() {
	moment := time.Unix(1700000000, 0)
	fmt.Println(moment, time.Local)
	zurich, err := time.LoadLocation("Europe/Zurich")
	fmt.Println(moment.In(zurich), err)
}
