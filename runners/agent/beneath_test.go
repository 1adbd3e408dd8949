package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// bothWays runs a test with the kernel's openat2, and with the walk that replaces it.
func bothWays(t *testing.T, test func(t *testing.T, w *workdir)) {
	for name, walk := range map[string]bool{"openat2": false, "walk": true} {
		t.Run(name, func(t *testing.T) {
			w, err := openWorkdir(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			w.walk = walk
			test(t, w)
			if w.walk != walk {
				t.Fatal("this kernel has no openat2: one of the two ways was not tested")
			}
			sysClose(w.fd)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoPathLeadsThroughASymbolicLink(t *testing.T) {
	bothWays(t, func(t *testing.T, w *workdir) {
		outside := t.TempDir()
		must(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600))
		must(t, os.Mkdir(w.at("dir"), 0o755))
		must(t, os.WriteFile(w.at("dir/file"), nil, 0o644))
		for link, target := range map[string]string{
			"to-dir": outside, "to-file": outside + "/secret", "inside": "dir", "dir/up": "..", "loop": "loop", "dangling": "nothing",
		} {
			must(t, os.Symlink(target, w.at(link)))
		}
		for _, path := range []string{"to-dir", "to-dir/secret", "to-file", "inside", "inside/file", "dir/up", "dir/up/dir/file", "loop", "dangling"} {
			for name, flags := range map[string]int{
				"read": syscall.O_RDONLY, "path": oPath, "directory": oPath | syscall.O_DIRECTORY, "list": syscall.O_RDONLY | syscall.O_DIRECTORY,
			} {
				if fd, err := w.open(path, flags, 0); err != syscall.ELOOP {
					t.Errorf("open %s for %s: %d, %v", path, name, fd, err)
				}
			}
			if fd, err := w.create(path, 0o644); err != syscall.ELOOP {
				t.Errorf("create %s: %d, %v", path, fd, err)
			}
		}
		if content, _ := os.ReadFile(filepath.Join(outside, "secret")); string(content) != "s" {
			t.Errorf("the file outside is now %q", content)
		}
	})
}

func TestCreateMakesTheDirectoriesThatLeadToAFile(t *testing.T) {
	bothWays(t, func(t *testing.T, w *workdir) {
		fd, err := w.create("a/b/c.txt", 0o600)
		must(t, err)
		_, err = sysWrite(fd, []byte("hello"))
		must(t, err)
		sysClose(fd)
		content, err := os.ReadFile(w.at("a/b/c.txt"))
		must(t, err)
		if string(content) != "hello" {
			t.Fatalf("%q", content)
		}
	})
}

func TestCreateEmptiesAFileThatIsThere(t *testing.T) {
	bothWays(t, func(t *testing.T, w *workdir) {
		must(t, os.WriteFile(w.at("f"), []byte("long content"), 0o644))
		fd, err := w.create("f", 0o644)
		must(t, err)
		sysClose(fd)
		if content, _ := os.ReadFile(w.at("f")); len(content) != 0 {
			t.Fatalf("%q", content)
		}
	})
}

func TestOpeningAFIFODoesNotWait(t *testing.T) {
	bothWays(t, func(t *testing.T, w *workdir) {
		must(t, syscall.Mkfifo(w.at("fifo"), 0o644))
		fd, err := w.open("fifo", syscall.O_RDONLY, 0)
		must(t, err)
		sysClose(fd)
		if _, err := w.create("fifo", 0o644); err != syscall.ENXIO {
			t.Fatalf("for writing: %v", err)
		}
		if _, refused := w.openRegular("fifo", 1); refused == nil || refused.code != "not_regular" {
			t.Fatalf("%v", refused)
		}
	})
}

func TestWhatTheFileSystemSaysHasACode(t *testing.T) {
	bothWays(t, func(t *testing.T, w *workdir) {
		must(t, os.WriteFile(w.at("file"), nil, 0o644))
		must(t, os.Mkdir(w.at("dir"), 0o755))
		must(t, os.Symlink("file", w.at("link")))
		for path, code := range map[string]string{"nothing": "not_found", "file/below": "bad_path", "link": "bad_path"} {
			_, err := w.open(path, syscall.O_RDONLY, 0)
			if refused := fileRefusal(path, err); refused.code != code {
				t.Errorf("%s: %v", path, refused)
			}
		}
		_, err := w.create("dir", 0o644)
		if refused := fileRefusal("dir", err); refused.code != "not_regular" {
			t.Errorf("a directory: %v", refused)
		}
	})
}

func TestAPlainPathStaysBeneath(t *testing.T) {
	long := string(make([]byte, 0))
	for range maxName + 1 {
		long += "n"
	}
	for path, want := range map[string]string{"": "", ".": "", "a": "a", "./a//b/./c/": "a/b/c", "a/..b": "a/..b", " ": " "} {
		if got, refused := plainPath(path); refused != nil || got != want {
			t.Errorf("%q: %q, %v", path, got, refused)
		}
	}
	for _, path := range []string{"/", "/etc", "..", "a/..", "a/../b", "../x", "a\x00b", long} {
		if got, refused := plainPath(path); refused == nil || refused.code != "bad_path" {
			t.Errorf("%q became %q", path, got)
		}
	}
	for _, path := range []string{"", ".", "./"} {
		if _, refused := plainFilePath(path); refused == nil {
			t.Errorf("%q is taken for a file", path)
		}
	}
}

func TestARefusalIsAnErrorThatSaysItsCode(t *testing.T) {
	var err error = refuse("bad_path", "%q is absolute", "/x")
	var refused *refusal
	if !errors.As(err, &refused) || err.Error() != `bad_path: "/x" is absolute` {
		t.Fatal(err)
	}
}
