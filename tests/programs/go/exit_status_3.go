package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Println("before")
	defer fmt.Println("never")
	os.Exit(3)
}
