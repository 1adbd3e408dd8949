package main

import (
	"fmt"
	"internal/abi"
)

func main() {
	fmt.Println(abi.FuncPCABI0)
}
