package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

func main() {
	block := make([]byte, 1<<16)
	for _, place := range []string{"/workspace", "/tmp", "/dev/shm"} {
		file, err := os.Create(place + "/fill")
		for err == nil {
			_, err = file.Write(block)
		}
		result := "?"
		if errors.Is(err, syscall.ENOSPC) {
			result = "ENOSPC"
		}
		fmt.Printf("{\"attempt\": \"fill %s\", \"result\": \"%s\"}\n", place, result)
		os.Remove(place + "/fill")
	}
}
