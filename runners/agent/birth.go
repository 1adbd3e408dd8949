package main

import (
	"syscall"
	"unsafe"
)

// birth is what a child inherits and the agent itself must not have: it is put on just before a fork and taken off
// just after. No guest exists at that moment, because nothing is started while a run is under way.
type birth struct {
	score   int // /proc/self/oom_score_adj, -1 where there is none
	mine    []byte
	ignores bool
}

// openBirth has to be called while the agent is dumpable: afterwards its /proc files are root's.
func openBirth() *birth {
	b := &birth{score: -1}
	fd, err := syscall.Open("/proc/self/oom_score_adj", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return b
	}
	b.mine = make([]byte, 16)
	n, err := syscall.Pread(fd, b.mine, 0)
	if err != nil || n == 0 {
		sysClose(fd)
		return b
	}
	b.score, b.mine = fd, b.mine[:n]
	return b
}

func (b *birth) begin() {
	b.setScore([]byte("1000")) // where memory is short, the kernel picks the guest
	if b.ignores {
		setAll(sigDefault)
	}
}

func (b *birth) end() {
	if b.ignores {
		setAll(sigIgnore)
	}
	b.setScore(b.mine)
}

// setScore: raising the score needs no privilege, nor does coming back down to where one was. Failure is ignored: the score
// decides who dies first, never what a run does.
func (b *birth) setScore(score []byte) {
	if b.score >= 0 {
		_, _ = syscall.Pwrite(b.score, score, 0)
	}
}

// shed takes the Go runtime's signal handlers off, with which a guest could end the agent by a plain SIGTERM.
//
// As PID 1 the agent then ignores every signal. The kernel promises to shield PID 1 from signals of its own namespace that
// are at their default, but breaks that promise when PID 1 has more than one thread and the first is just running
// a handler (seen on Linux 6.18: one of some hundred SIGALRMs got through). Elsewhere signals do what they always do.
func (b *birth) shed(init bool) {
	b.ignores = init
	if init {
		setAll(sigIgnore)
	} else {
		setAll(sigDefault)
	}
}

const (
	sigDefault = 0
	sigIgnore  = 1
)

func setAll(disposition uint64) {
	const last = 64
	action := [4]uint64{disposition} // the kernel's struct sigaction
	for signal := uintptr(1); signal <= last; signal++ {
		switch syscall.Signal(signal) {
		case syscall.SIGKILL, syscall.SIGSTOP: // cannot be changed
		case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE:
			// Keep Go's handlers, which do nothing but interrupt a wait (and pre-empt, for SIGURG); a child gets the default.
		default:
			_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
		}
	}
}
