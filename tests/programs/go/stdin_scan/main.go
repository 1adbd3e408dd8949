package main

import "fmt"

func main() {
	var name string
	var a, b int
	fmt.Print("name? ")
	fmt.Scan(&name, &a, &b)
	fmt.Println("hello", name, a+b)
	_, err := fmt.Scan(&a)
	fmt.Println(err)
}
