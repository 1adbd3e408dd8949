package main

import (
	"strings"
	"syscall"
)

// workdir resolves every path that the host names beneath the work directory: no absolute path, no "..", no
// symbolic link anywhere on the way. The guest owns what is in there and may change it at any moment, so the
// kernel does the resolving, in one step, never a look followed by a use.
type workdir struct {
	path string
	fd   int
	walk bool // the kernel has no openat2 (gVisor, before 5.6): go component by component
}

func openWorkdir(path string) (*workdir, error) {
	fd, err := syscall.Open(path, oPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	return &workdir{path: path, fd: fd}, err
}

// reclaim gives the work directory back to its owner: a guest that shut it would spoil every later run and errand.
// What it shut within stays shut, like whatever else it leaves there.
func (w *workdir) reclaim() {
	var stat syscall.Stat_t
	if sysFstat(w.fd, &stat) == nil && stat.Mode&syscall.S_IRWXU != syscall.S_IRWXU {
		_ = syscall.Chmod(w.path, stat.Mode&0o7777|syscall.S_IRWXU) // a failure shows where the directory is used
	}
}

const (
	maxPath = 4095
	maxName = 255
)

// plainPath is path without "." and doubled slashes, "" for the work directory itself.
func plainPath(path string) (string, *refusal) {
	switch {
	case strings.HasPrefix(path, "/"):
		return "", refuse("bad_path", "%q is absolute", path)
	case strings.IndexByte(path, 0) >= 0:
		return "", refuse("bad_path", "%q contains a NUL byte", path)
	case len(path) > maxPath:
		return "", refuse("bad_path", "a path of %d bytes is over the limit of %d", len(path), maxPath)
	}
	kept := make([]string, 0, 4)
	for _, name := range strings.Split(path, "/") {
		switch {
		case name == "" || name == ".":
		case name == "..":
			return "", refuse("bad_path", "%q leaves the work directory", path)
		case len(name) > maxName:
			return "", refuse("bad_path", "a name of %d bytes is over the limit of %d", len(name), maxName)
		default:
			kept = append(kept, name)
		}
	}
	return strings.Join(kept, "/"), nil
}

// plainFilePath is plainPath for what cannot be the work directory itself.
func plainFilePath(path string) (string, *refusal) {
	plain, refused := plainPath(path)
	if refused == nil && plain == "" {
		return "", refuse("bad_path", "%q names the work directory, not a file in it", path)
	}
	return plain, refused
}

// at is the absolute form of a plain path, for the guest.
func (w *workdir) at(path string) string {
	if path == "" {
		return w.path
	}
	return w.path + "/" + path
}

// open opens a plain path. The descriptor is close-on-exec, and opening never waits (a FIFO would).
func (w *workdir) open(path string, flags int, mode uint32) (int, error) {
	flags |= syscall.O_CLOEXEC
	if flags&oPath == 0 {
		flags |= syscall.O_NONBLOCK | syscall.O_NOCTTY
	}
	if path == "" {
		path = "."
	}
	if !w.walk {
		how := openHow{uint64(flags), uint64(mode), resolveBeneath | resolveNoSymlinks | resolveNoMagiclinks}
		fd, err := openat2(w.fd, path, &how)
		if err != syscall.ENOSYS {
			return fd, err
		}
		w.walk = true
	}
	dir, name, err := w.parent(path, false)
	if err != nil {
		return -1, err
	}
	defer w.leave(dir)
	return openHere(dir, name, flags|syscall.O_NOFOLLOW, mode)
}

// create opens a file for writing, emptied, and makes the directories that lead to it.
func (w *workdir) create(path string, mode uint32) (int, error) {
	const flags = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_TRUNC
	fd, err := w.open(path, flags, mode)
	if err != syscall.ENOENT {
		return fd, err
	}
	dir, _, err := w.parent(path, true)
	if err != nil {
		return -1, err
	}
	w.leave(dir)
	return w.open(path, flags, mode)
}

// parent opens the directory that holds path's last name, and returns both. make: create what is missing.
func (w *workdir) parent(path string, make bool) (int, string, error) {
	dir := w.fd
	for {
		name, rest, more := strings.Cut(path, "/")
		if !more {
			return dir, name, nil
		}
		if make {
			if err := syscall.Mkdirat(dir, name, 0o755); err != nil && err != syscall.EEXIST {
				w.leave(dir)
				return -1, "", err
			}
		}
		next, err := openHere(dir, name, oPath|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
		w.leave(dir)
		if err != nil {
			return -1, "", err
		}
		dir, path = next, rest
	}
}

// leave closes a directory of a walk, but not the work directory.
func (w *workdir) leave(dir int) {
	if dir != w.fd {
		sysClose(dir)
	}
}

// openHere opens one name in dir and never follows a link. ELOOP says that it is one, as openat2 does.
func openHere(dir int, name string, flags int, mode uint32) (int, error) {
	fd, err := sysOpenat(dir, name, flags, mode)
	if err == syscall.ENOTDIR && flags&syscall.O_DIRECTORY != 0 {
		// Linux says the same of a link as of a file here.
		if kind, failed := openHere(dir, name, flags&^syscall.O_DIRECTORY, mode); failed == nil {
			sysClose(kind)
		} else {
			err = failed
		}
	}
	if err == nil && flags&oPath != 0 && isLink(fd) {
		sysClose(fd)
		return -1, syscall.ELOOP
	}
	return fd, err
}

func isLink(fd int) bool {
	var stat syscall.Stat_t
	return sysFstat(fd, &stat) == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFLNK
}

// fileRefusal says in PROTOCOL.md's words what the file system said about path.
func fileRefusal(path string, err error) *refusal {
	code := "io_error"
	switch err {
	case syscall.ENOENT:
		code = "not_found"
	case syscall.ELOOP:
		return refuse("bad_path", "%s: a symbolic link is on the way", path)
	case syscall.EXDEV, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.EINVAL:
		code = "bad_path"
	case syscall.EACCES, syscall.EPERM:
		code = "not_permitted" // a guest has shut it
	case syscall.EISDIR, syscall.ENXIO:
		code = "not_regular"
	case syscall.ENOSPC, syscall.EDQUOT, syscall.ENOMEM:
		code = "no_space"
	case syscall.EFBIG:
		code = "too_large"
	}
	return refuse(code, "%s: %s", path, err)
}
