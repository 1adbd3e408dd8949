package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for i := range 40000 {
		fmt.Fprintf(out, "line %06d\n", i)
	}
}
