package selfcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

var errnoNames = map[syscall.Errno]string{
	syscall.EPERM: "EPERM", syscall.ENOENT: "ENOENT", syscall.ESRCH: "ESRCH", syscall.EBADF: "EBADF",
	syscall.EACCES: "EACCES", syscall.EFAULT: "EFAULT", syscall.ENOTDIR: "ENOTDIR", syscall.EINVAL: "EINVAL",
	syscall.ENOSPC: "ENOSPC", syscall.EROFS: "EROFS", syscall.ENOSYS: "ENOSYS", syscall.EOPNOTSUPP: "EOPNOTSUPP",
	syscall.E2BIG: "E2BIG", syscall.EAFNOSUPPORT: "EAFNOSUPPORT", syscall.EADDRNOTAVAIL: "EADDRNOTAVAIL",
	syscall.ENETUNREACH: "ENETUNREACH", syscall.EHOSTUNREACH: "EHOSTUNREACH", syscall.EINPROGRESS: "EINPROGRESS",
	syscall.ETIMEDOUT: "ETIMEDOUT", syscall.ECONNREFUSED: "ECONNREFUSED", syscall.ENXIO: "ENXIO",
	syscall.EPROTONOSUPPORT: "EPROTONOSUPPORT", syscall.ENODEV: "ENODEV", syscall.ENODATA: "ENODATA",
}

// outcome is how a system call ended, in one word: "ok", or the error's name.
func outcome(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case !errors.As(err, &errno):
		return err.Error()
	case errno == 0:
		return "ok"
	}
	if name, known := errnoNames[errno]; known {
		return name
	}
	return fmt.Sprintf("errno %d", int(errno))
}

func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
