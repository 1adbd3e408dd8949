package main

import (
	"fmt"
	"syscall"
	"unsafe"
)

// fork is the bare call: with no room for one more thread, Go's own way to start a process ends the program.
func fork() (child uintptr, err syscall.Errno) {
	child, _, err = syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0)
	return child, err
}

// deaf blocks every signal, and with them those by which the runtime would have this thread do something else.
func deaf() {
	const setMask = 2
	every := ^uint64(0)
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&every)), 0, 8, 0, 0)
}

func main() {
	told := []byte(fmt.Sprintln(`{"attempt": "start one more", "result": "EAGAIN"}`))
	deaf()
	for {
		child, err := fork()
		switch {
		case err == 0 && child == 0:
			syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0)
		case err == syscall.EAGAIN && len(told) > 0:
			syscall.RawSyscall(syscall.SYS_WRITE, 1, uintptr(unsafe.Pointer(&told[0])), uintptr(len(told)))
			told = nil
		}
	}
}
