package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// family is every process that comes from this agent: reaped as they end, and ended all at once.
//
// As PID 1 that is every process there is. Otherwise (the agent run by hand, and in tests) only its
// own descendants are ever touched.
type family struct {
	self      int
	init      bool // the agent is PID 1
	group     int  // the agent's own process group
	leads     bool // every process of the agent's session descends from it
	directory int  // /proc
	children  int  // /proc's list of our children, -1 where the kernel has none
	buffer    []byte
}

func openFamily() (*family, error) {
	directory, err := syscall.Open("/proc", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/proc: %w", err)
	}
	self := syscall.Getpid()
	children, err := sysOpenat(directory, fmt.Sprintf("%d/task/%d/children", self, self), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		children = -1
	}
	_, err = syscall.Setsid() // fails for the leader of a group, who may lead the session already
	session, _, _ := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
	return &family{
		self: self, init: self == 1, group: syscall.Getpgrp(), leads: self == 1 || err == nil || int(session) == self,
		directory: directory, children: children, buffer: make([]byte, 8<<10),
	}, nil
}

// reapAtOnce bounds one reaping: processes that fork and end in a circle make dead children as fast as one collects them.
const reapAtOnce = 256

// reap collects children that have ended, orphans included, and reports each. It never waits. true: there may be more.
func (f *family) reap(ended func(pid int, status syscall.WaitStatus, usage *syscall.Rusage)) bool {
	for range reapAtOnce {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid := sysWait(&status, &usage)
		if pid == 0 {
			return false
		}
		ended(pid, status, &usage)
	}
	return true
}

const (
	// killPatience: a killed process is gone within milliseconds unless the kernel is stuck in it. A sandbox
	// where it takes this long cannot be cleaned and is given up.
	killPatience = 5 * time.Second
	// stormRounds: each round kills all that the last look showed. What still shows new processes after so many
	// is a fork bomb that outruns looking.
	stormRounds = 4
	// lookPatience bounds one look: /proc lists processes by number, and a fork bomb makes higher ones as fast as it does.
	lookPatience = 20 * time.Millisecond
)

var errUnkillable = errors.New("processes survive SIGKILL")

// end kills everybody but those kept, and returns when they are gone. killedAll tells that a fork bomb took the
// kept ones with it.
func (f *family) end(kept []int, reap func() bool) (killedAll bool, err error) {
	for _, pid := range kept {
		_ = syscall.Kill(pid, syscall.SIGCONT) // a run may have stopped it
	}
	if f.hasOnly(kept) {
		return false, nil
	}
	deadline := time.Now().Add(killPatience)
	pause := 50 * time.Microsecond
	var before []relative
	for round := 0; ; round++ {
		living, complete := f.living(kept)
		// A process that forks and exits in a circle may be missed by the look at /proc, but not by our children's list.
		if len(living) == 0 && complete && (f.children < 0 || f.hasOnly(kept)) {
			for reap() {
			}
			return killedAll, nil
		}
		fresh := !complete
		for _, who := range living {
			f.kill(who, kept)
			fresh = fresh || !slices.ContainsFunc(before, func(old relative) bool { return old.pid == who.pid })
		}
		if fresh && (round >= stormRounds || !complete && round > 0) && f.init && !killedAll {
			// One call that no fork can slip past; it spares only PID 1, which is us.
			_ = syscall.Kill(-1, syscall.SIGKILL)
			kept, killedAll = nil, true
			deadline = time.Now().Add(killPatience)
		}
		for started := time.Now(); reap() && time.Since(started) < lookPatience; {
		}
		if time.Now().After(deadline) {
			return killedAll, fmt.Errorf("%d %w", len(living), errUnkillable)
		}
		before = living
		if !fresh {
			new(pollSet).wait(pause) // a child's end cuts it short
			pause = min(2*pause, 5*time.Millisecond)
		}
	}
}

// kill kills who and, at one blow, the whole process group, which holds most of a fork bomb. A group that the guest may
// have joined, ours or that of somebody who is kept, is left alone.
func (f *family) kill(who relative, kept []int) {
	if f.leads && who.group > 1 && who.group != f.group && !slices.Contains(kept, who.group) {
		_ = syscall.Kill(-who.group, syscall.SIGKILL)
	}
	_ = syscall.Kill(who.pid, syscall.SIGKILL)
}

// hasOnly: there is nobody to end. Everybody descends from a child of ours (orphans become ours), those kept have
// no descendants of the guest's, and what /proc lists cannot change under us, because only we reap it. A look at
// everybody costs five times as much, and every run ends with one.
func (f *family) hasOnly(kept []int) bool {
	if f.children < 0 {
		return false
	}
	var list [128]byte // a longer one names more than can be kept
	n, err := syscall.Pread(f.children, list[:], 0)
	if err != nil || n == len(list) {
		return false
	}
	for _, number := range strings.Fields(string(list[:n])) {
		if pid, err := strconv.Atoi(number); err != nil || !slices.Contains(kept, pid) {
			return false
		}
	}
	return true
}

// living is everybody but the agent, those kept, and those already dead. false: there may be more.
func (f *family) living(kept []int) ([]relative, bool) {
	var found []relative
	if f.init {
		complete := f.each(func(pid int) {
			if pid != f.self && !slices.Contains(kept, pid) {
				if who, ok := f.lookAt(pid); ok && !who.dead() {
					found = append(found, who)
				}
			}
		})
		return found, complete
	}
	everybody := map[int]relative{}
	complete := f.each(func(pid int) {
		if who, ok := f.lookAt(pid); ok {
			everybody[pid] = who
		}
	})
	for pid, who := range everybody {
		if slices.Contains(kept, pid) || who.dead() {
			continue
		}
		forebear := who
		for steps := 0; forebear.parent > 1 && forebear.parent != f.self && steps < len(everybody); steps++ {
			forebear = everybody[forebear.parent]
		}
		if forebear.parent == f.self {
			found = append(found, who)
		}
	}
	return found, complete
}

// relative is what /proc says of a process.
type relative struct {
	pid, parent, group int
	state              byte
	threads            int
}

// dead: ended, and only waiting to be reaped. A process whose first thread alone has ended looks the same but for
// its other threads.
func (r relative) dead() bool { return r.state == 'X' || r.state == 'Z' && r.threads <= 1 }

func (f *family) lookAt(pid int) (relative, bool) {
	fd, err := sysOpenat(f.directory, strconv.Itoa(pid)+"/stat", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return relative{}, false
	}
	defer sysClose(fd)
	var line [512]byte
	n, err := sysRead(fd, line[:])
	if err != nil {
		return relative{}, false
	}
	// The name, second and in brackets, may hold anything; what follows its last bracket is numbers and one letter.
	text := string(line[:n])
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 18 {
		return relative{}, false
	}
	who := relative{pid: pid, state: fields[0][0]}
	who.parent, _ = strconv.Atoi(fields[1])
	who.group, _ = strconv.Atoi(fields[2])
	who.threads, _ = strconv.Atoi(fields[17])
	return who, true
}

// each calls visit with every process number in /proc. false: it gave up before the end.
func (f *family) each(visit func(pid int)) bool {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_LSEEK, uintptr(f.directory), 0, 0); errno != 0 {
		return false
	}
	var names []string
	for started := time.Now(); time.Since(started) < lookPatience; {
		n, err := sysGetdents(f.directory, f.buffer)
		if err != nil || n <= 0 {
			return err == nil
		}
		_, _, names = syscall.ParseDirent(f.buffer[:n], -1, names[:0])
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil {
				visit(pid)
			}
		}
	}
	return false
}

// parentOf is 0 for a process that is gone.
func (f *family) parentOf(pid int) int {
	who, _ := f.lookAt(pid)
	return who.parent
}
