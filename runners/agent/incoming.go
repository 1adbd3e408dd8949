package main

import (
	"syscall"
)

// defaultMode is what a file gets for which the host names none.
const defaultMode = 0o644

// incoming is a file whose bytes are arriving.
type incoming struct {
	fd   int
	path string
	left int64
}

// receive opens the file of that path, emptied.
func (w *workdir) receive(order fileOrder) (*incoming, *refusal) {
	fd, err := w.create(order.Path, order.mode())
	return receiveInto(fd, err, order)
}

// receiveIn opens a new file in dir.
func (w *workdir) receiveIn(dir int, name string, order fileOrder) (*incoming, *refusal) {
	const flags = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	fd, err := openHere(dir, name, flags, order.mode())
	return receiveInto(fd, err, order)
}

func (o *fileOrder) mode() uint32 {
	if o.Mode == nil {
		return defaultMode
	}
	return *o.Mode
}

func receiveInto(fd int, err error, order fileOrder) (*incoming, *refusal) {
	if err != nil {
		return nil, fileRefusal(order.Path, err)
	}
	mode := order.mode()
	file := &incoming{fd, order.Path, *order.Size}
	var stat syscall.Stat_t
	if err = sysFstat(fd, &stat); err == nil && stat.Mode&syscall.S_IFMT != syscall.S_IFREG {
		file.close()
		return nil, refuse("not_regular", "%s is not a regular file", order.Path)
	}
	if err == nil && stat.Mode&0o777 != mode { // the umask, or it was there before
		err = syscall.Fchmod(fd, mode)
	}
	if err != nil {
		file.close()
		return nil, fileRefusal(order.Path, err)
	}
	return file, nil
}

// take writes what is this file's of bytes and returns the rest.
func (f *incoming) take(bytes []byte) ([]byte, *refusal) {
	mine := bytes[:min(int64(len(bytes)), f.left)]
	rest := bytes[len(mine):]
	for len(mine) > 0 {
		n, err := sysWrite(f.fd, mine)
		if err != nil {
			return nil, fileRefusal(f.path, err)
		}
		mine = mine[n:]
		f.left -= int64(n)
	}
	return rest, nil
}

func (f *incoming) close() { closeEnd(&f.fd) }

// intake is the files of an EXEC, of which one at a time is open.
type intake struct {
	files []fileOrder // that are not complete
	file  *incoming   // the first of them, once it is open
}

func (i *intake) complete() bool { return len(i.files) == 0 }

func (i *intake) take(work *workdir, bytes []byte) ([]byte, *refusal) {
	for len(i.files) > 0 {
		var refused *refusal
		if i.file == nil {
			if i.file, refused = work.receive(i.files[0]); refused != nil {
				return nil, refused
			}
		}
		if bytes, refused = i.file.take(bytes); refused != nil {
			return nil, refused
		}
		if i.file.left > 0 {
			return nil, nil
		}
		i.close()
		i.files = i.files[1:]
	}
	return bytes, nil
}

func (i *intake) close() {
	if i.file != nil {
		i.file.close()
		i.file = nil
	}
}
