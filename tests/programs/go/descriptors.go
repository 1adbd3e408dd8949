package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err == nil && strings.HasPrefix(target, "/proc/") == false && strings.HasPrefix(target, "anon_inode:") == false {
			fmt.Println(entry.Name(), strings.SplitN(target, ":", 2)[0])
		}
	}
}
