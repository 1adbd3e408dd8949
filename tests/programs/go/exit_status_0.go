package main

import (
	"fmt"
	"os"
)

func main() {
	defer fmt.Println("deferred do not run")
	os.Exit(0)
}
