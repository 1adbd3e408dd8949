//go:build ignore

package main

func main() { println("ignored only when nobody names the file") }
