package main

import (
	"fmt"
	"os"
)

func main() {
	println(1)
}
