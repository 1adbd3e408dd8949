package main

import (
	"os"
	"testing"
)

func TestAWorkDirectoryThatWasShutIsOpenedAgain(t *testing.T) {
	dir := t.TempDir()
	w, err := openWorkdir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closeEnd(&w.fd)
	for _, mode := range []os.FileMode{0, 0o055, 0o400, 0o755} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		w.reclaim()
		found, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if want := mode | 0o700; found.Mode().Perm() != want {
			t.Errorf("%o became %o, not %o", mode, found.Mode().Perm(), want)
		}
	}
}
