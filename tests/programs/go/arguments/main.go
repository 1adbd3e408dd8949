package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	fmt.Printf("%q\n", os.Args[1:])
	flag.Bool("flag", false, "a flag")
	flag.Parse()
	fmt.Printf("%q\n", flag.Args())
}
