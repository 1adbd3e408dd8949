package main

import (
	"bytes"
	"os"
)

func main() {
	x, y := bytes.Repeat([]byte("x"), 65536), bytes.Repeat([]byte("y"), 65536)
	for {
		os.Stdout.Write(x)
		os.Stderr.Write(y)
	}
}
