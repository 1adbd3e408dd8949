// +build windows

package main

func main() { println("named files are compiled") }
