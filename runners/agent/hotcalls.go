package main

import (
	"syscall"
	"unsafe"
)

// The calls of the hot path, without the Go scheduler's book-keeping around them. All are short (everything is
// non-blocking), and there is no other goroutine to run meanwhile; but told of each, the runtime's monitor thread takes
// the processor away and gives it back every time, which tripled the time from EXEC to the go message.

func sysRead(fd int, into []byte) (int, error) {
	return transfer(syscall.SYS_READ, fd, into)
}

func sysWrite(fd int, bytes []byte) (int, error) {
	return transfer(syscall.SYS_WRITE, fd, bytes)
}

func sysGetdents(fd int, into []byte) (int, error) {
	return transfer(syscall.SYS_GETDENTS64, fd, into)
}

// transfer repeats a call that a signal cut short.
func transfer(call uintptr, fd int, bytes []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(bytes))), uintptr(len(bytes)))
		if errno == 0 {
			return int(n), nil
		}
		if errno != syscall.EINTR {
			return -1, errno
		}
	}
}

func sysOpenat(dir int, path string, flags int, mode uint32) (int, error) {
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	fd, _, errno := syscall.RawSyscall6(syscall.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(name)), uintptr(flags),
		uintptr(mode), 0, 0)
	return int(fd), errnoOf(errno)
}

func sysClose(fd int) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
}

func sysFstat(fd int, into *syscall.Stat_t) error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(into)), 0)
	return errnoOf(errno)
}

// sysWait collects a child that has ended; 0 when none has.
func sysWait(status *syscall.WaitStatus, usage *syscall.Rusage) int {
	var plain int32
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&plain)), syscall.WNOHANG,
		uintptr(unsafe.Pointer(usage)), 0, 0)
	if errno != 0 {
		return 0
	}
	*status = syscall.WaitStatus(plain)
	return int(pid)
}
