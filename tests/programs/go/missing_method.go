package main

import "fmt"

type thing struct{}

func (t *thing) String() string { return "x" }

func main() {
	var s fmt.Stringer = thing{}
	fmt.Println(s)
}
