package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
)

func main() {
	found := 0
	filepath.WalkDir("/", func(path string, entry fs.DirEntry, err error) error {
		if path == "/proc" || path == "/sys" {
			return filepath.SkipDir
		}
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
				found++
			}
		}
		return nil
	})
	fmt.Printf("{\"attempt\": \"setuid and setgid files\", \"result\": \"%d\"}\n", found)
}
