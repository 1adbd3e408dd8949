package main

import (
	"fmt"
	"os"
)

func main() {
	panic(fmt.Errorf("wrapped: %w", os.ErrNotExist))
}
