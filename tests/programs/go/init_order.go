package main

import "fmt"

var a = b + 1
var b = f()

func f() int {
	fmt.Println("f")
	return 1
}

func init() { fmt.Println("init one", a, b) }
func init() { fmt.Println("init two") }

func main() { fmt.Println("main") }
