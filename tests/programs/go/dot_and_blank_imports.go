package main

import (
	. "fmt"
	_ "image/png"
	mathematics "math"
)

func main() { Println(mathematics.Sqrt2) }
