package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

func main() {
	var held []*os.File
	for {
		file, err := os.Open("/dev/null")
		if errors.Is(err, syscall.EMFILE) {
			fmt.Println(`{"attempt": "one more descriptor", "result": "EMFILE"}`)
			return
		}
		held = append(held, file)
	}
}
