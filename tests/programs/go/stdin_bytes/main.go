package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	received, err := io.ReadAll(os.Stdin)
	fmt.Printf("%d %x %v\n", len(received), received, err)
}
