package main

import (
	"example.com/app/internal/config"
	"example.com/app/shapes"
	"fmt"
)

func main() {
	fmt.Println(shapes.Area(2), config.Text)
	shapes.Fail()
}
