package main

import (
	"slices"
	"strings"
	"syscall"
)

func (w *workdir) openRegular(path string, limit int64) (int, *refusal) {
	fd, err := w.open(path, syscall.O_RDONLY, 0)
	if err != nil {
		return -1, fileRefusal(path, err)
	}
	var stat syscall.Stat_t
	var refused *refusal
	switch err := sysFstat(fd, &stat); {
	case err != nil:
		refused = fileRefusal(path, err)
	case stat.Mode&syscall.S_IFMT != syscall.S_IFREG:
		refused = refuse("not_regular", "%s is not a regular file", path)
	case stat.Size > limit:
		refused = refuse("too_large", "%s has %d bytes, the limit is %d", path, stat.Size, limit)
	}
	if refused != nil {
		sysClose(fd)
		return -1, refused
	}
	return fd, nil
}

// entry is one name in the work directory.
type entry struct {
	Name  string  `json:"name"`
	Path  string  `json:"path"`
	Type  string  `json:"type"`
	Size  int64   `json:"size"`
	Mode  uint32  `json:"mode"`
	Mtime float64 `json:"mtime"`
}

// entryOf is false for what is neither a file, a directory nor a symbolic link.
func entryOf(path string, fd int) (entry, bool, error) {
	var stat syscall.Stat_t
	if err := sysFstat(fd, &stat); err != nil {
		return entry{}, false, err
	}
	types := map[uint32]string{syscall.S_IFREG: "file", syscall.S_IFDIR: "dir", syscall.S_IFLNK: "symlink"}
	kind, known := types[stat.Mode&syscall.S_IFMT]
	if path == "" {
		path = "."
	}
	return entry{
		Name: path[strings.LastIndexByte(path, '/')+1:], Path: path, Type: kind, Size: stat.Size,
		Mode: stat.Mode & 0o7777, Mtime: float64(stat.Mtim.Nano()/1000) / 1e6,
	}, known, nil
}

func (w *workdir) stat(path string) (any, *refusal) {
	fd, err := w.open(path, oPath, 0)
	if err != nil {
		return nil, fileRefusal(path, err)
	}
	defer sysClose(fd)
	found, known, err := entryOf(path, fd)
	if err != nil {
		return nil, fileRefusal(path, err)
	}
	if !known {
		return nil, refuse("not_regular", "%s is neither a file nor a directory", path)
	}
	return map[string]entry{"entry": found}, nil
}

// list is sorted by name. Names that are neither file, directory nor link are left out.
func (w *workdir) list(path string) (any, *refusal) {
	fd, err := w.open(path, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, fileRefusal(path, err)
	}
	defer sysClose(fd)
	entries := []entry{}
	size := len(`{"entries":[]}`)
	buffer := make([]byte, 16<<10)
	for {
		n, err := sysGetdents(fd, buffer)
		if err != nil {
			return nil, fileRefusal(path, err)
		}
		if n == 0 {
			break
		}
		_, _, names := syscall.ParseDirent(buffer[:n], -1, nil)
		for _, name := range names {
			found, ok := lookInto(fd, path, name)
			if !ok {
				continue
			}
			if size += len(encode(found)) + 1; size > maxPayload {
				return nil, refuse("too_large", "%s has more entries than fit %d bytes, at least %d", path, maxPayload, len(entries))
			}
			entries = append(entries, found)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	return map[string][]entry{"entries": entries}, nil
}

// lookInto is one entry of the directory dir; false if it has gone meanwhile.
func lookInto(dir int, under, name string) (entry, bool) {
	fd, err := sysOpenat(dir, name, oPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return entry{}, false
	}
	defer sysClose(fd)
	if under != "" {
		under += "/"
	}
	found, known, err := entryOf(under+name, fd)
	return found, known && err == nil
}

// remove removes a regular file or an empty directory.
func (w *workdir) remove(path string) (any, *refusal) {
	fd, err := w.open(path, oPath, 0)
	if err != nil {
		return nil, fileRefusal(path, err)
	}
	defer sysClose(fd)
	found, known, err := entryOf(path, fd)
	if err == nil && !known {
		return nil, refuse("not_regular", "%s is neither a file nor a directory", path)
	}
	if err == nil {
		var flags uintptr
		if found.Type == "dir" {
			flags = atRemoveDir
		}
		var dir int
		var name string
		if dir, name, err = w.parent(path, false); err == nil {
			err = unlinkat(dir, name, flags)
			w.leave(dir)
		}
	}
	if err != nil {
		return nil, fileRefusal(path, err)
	}
	return struct{}{}, nil
}
