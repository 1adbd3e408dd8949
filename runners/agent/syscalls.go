package main

import (
	"syscall"
	"time"
	"unsafe"
)

// System calls that the standard library has no name for. The numbers are the same on every architecture
// (all are younger than the unified table of Linux 5.1).
const (
	sysPidfdSendSignal = 424
	sysPidfdOpen       = 434
	sysCloseRange      = 436
	sysOpenat2         = 437

	oPath             = 0x200000 // O_PATH
	closeRangeCloexec = 1 << 2

	prSetDumpable       = 4
	prSetChildSubreaper = 36

	pollIn    = 0x1
	pollOut   = 0x4
	pollErr   = 0x8
	pollHup   = 0x10
	pollRdHup = 0x2000
)

// errnoOf is nil for success: a zero Errno in an error would not be nil.
func errnoOf(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func prctl(option, argument uintptr) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, option, argument, 0, 0, 0, 0)
	return errnoOf(errno)
}

func fcntl(fd int, command, argument uintptr) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), command, argument)
	return int(n), errnoOf(errno)
}

// pidfdOpen's descriptor is readable once the process has ended. It is close-on-exec by nature.
func pidfdOpen(pid int) (int, error) {
	fd, _, errno := syscall.RawSyscall(sysPidfdOpen, uintptr(pid), 0, 0)
	return int(fd), errnoOf(errno)
}

func pidfdSignal(pidfd int, signal syscall.Signal) error {
	_, _, errno := syscall.RawSyscall6(sysPidfdSendSignal, uintptr(pidfd), uintptr(signal), 0, 0, 0, 0)
	return errnoOf(errno)
}

type openHow struct{ flags, mode, resolve uint64 }

const (
	resolveNoMagiclinks = 0x02
	resolveNoSymlinks   = 0x04
	resolveBeneath      = 0x08
)

func openat2(dir int, path string, how *openHow) (int, error) {
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	fd, _, errno := syscall.RawSyscall6(sysOpenat2, uintptr(dir), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(how)), unsafe.Sizeof(*how), 0, 0)
	return int(fd), errnoOf(errno)
}

const atRemoveDir = 0x200

func unlinkat(dir int, name string, flags uintptr) error {
	pointer, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	_, _, errno := syscall.Syscall(syscall.SYS_UNLINKAT, uintptr(dir), uintptr(unsafe.Pointer(pointer)), flags)
	return errnoOf(errno)
}

// processorTime is what the process has used of the processors so far, 0 if it is gone.
func processorTime(pid int) time.Duration {
	var spent syscall.Timespec
	clock := uintptr(int32(^pid<<3 | 2)) // CPUCLOCK_SCHED of that process, clock_getcpuclockid(3)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&spent)), 0); errno != 0 {
		return 0
	}
	return time.Duration(spent.Nano())
}

type pollFd struct {
	fd     int32
	events int16
	seen   int16
}

// pollSet is the set of descriptors that one turn of the loop waits for.
type pollSet struct{ fds []pollFd }

func (p *pollSet) clear() { p.fds = p.fds[:0] }

// watch adds a descriptor; a negative one, which is how a closed one is written here, is left out.
func (p *pollSet) watch(fd int, events int16) {
	if fd >= 0 {
		p.fds = append(p.fds, pollFd{fd: int32(fd), events: events})
	}
}

// wait returns when something happened, a signal came, or timeout has passed; a negative one never does.
func (p *pollSet) wait(timeout time.Duration) {
	var limit *syscall.Timespec
	if timeout >= 0 {
		timespec := syscall.NsecToTimespec(int64(timeout))
		limit = &timespec
	}
	var first unsafe.Pointer
	if len(p.fds) > 0 {
		first = unsafe.Pointer(&p.fds[0])
	}
	n, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(first), uintptr(len(p.fds)),
		uintptr(unsafe.Pointer(limit)), 0, 0, 0)
	if errno != 0 || n == 0 {
		for i := range p.fds {
			p.fds[i].seen = 0
		}
	}
}

// fired says whether anything was reported for fd. Every descriptor here is non-blocking, so a stale yes
// (a number closed and used again within one turn) costs one call that finds nothing.
func (p *pollSet) fired(fd int) bool {
	for i := range p.fds {
		if int(p.fds[i].fd) == fd && p.fds[i].seen != 0 {
			return true
		}
	}
	return false
}
