package main

import "bytes"

var held [][]byte

func main() {
	for {
		held = append(held, bytes.Repeat([]byte{1}, 8<<20))
	}
}
