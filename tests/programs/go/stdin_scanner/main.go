package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	scanner := bufio.NewScanner(os.Stdin)
	for n := 1; scanner.Scan(); n++ {
		fmt.Printf("%d %q\n", n, scanner.Text())
	}
	fmt.Println(scanner.Err())
}
