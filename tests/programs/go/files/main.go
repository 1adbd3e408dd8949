package main

import (
	"fmt"
	"os"
)

func main() {
	text, err := os.ReadFile("input.txt")
	fmt.Printf("%q %v\n", text, err)
	os.WriteFile("made.txt", []byte("made"), 0o600)
	entries, _ := os.ReadDir(".")
	for _, entry := range entries {
		fmt.Println(entry)
	}
	_, err = os.Open("not/there")
	fmt.Println(err)
	directory, err := os.MkdirTemp("", "x")
	fmt.Println(err, os.RemoveAll(directory))
}
