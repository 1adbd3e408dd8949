package main

import (
	"os"
	"os/exec"
)

func main() {
	if len(os.Args) == 1 {
		for range 3 {
			exec.Command("/proc/self/exe", "spin").Start()
		}
	}
	for {
	}
}
