package main

import (
	"fmt"
	"runtime/debug"
)

func main() {
	information, ok := debug.ReadBuildInfo()
	fmt.Println(information, ok)
}
