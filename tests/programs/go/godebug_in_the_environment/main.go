package main

import (
	"fmt"
	"os"
)

func main() {
	defer func() { fmt.Println(recover(), os.Getenv("GODEBUG")) }()
	panic(nil)
}
