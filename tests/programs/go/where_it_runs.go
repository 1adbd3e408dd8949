package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

func main() {
	directory, _ := os.Getwd()
	_, file, line, _ := runtime.Caller(0)
	executable, err := os.Executable()
	entries, _ := os.ReadDir(".")
	fmt.Println(directory, file, line, len(os.Args), os.Args[0] == executable, filepath.Base(executable), err, entries)
	fmt.Println(runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOROOT(), runtime.Compiler, os.Getppid() > 0)
	host, _ := os.Hostname()
	fmt.Println(len(host) > 0, os.TempDir())
	home, err := os.UserHomeDir()
	fmt.Println(home == directory, err)
}
