package main

import "fmt"

func main() {
	defer func() {
		reason := recover()
		fmt.Println("recovered:", reason)
		panic(fmt.Sprint("again: ", reason))
	}()
	panic("first")
}
