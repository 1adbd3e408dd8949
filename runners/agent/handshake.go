package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

// dismiss ends a process that is of no use any more.
func (w *workers) dismiss(p *process) {
	if p.pid > 0 && !p.ended {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		w.await(p)
	}
	p.closeAll()
}

// endPatience: a process that is ending has ended within milliseconds.
const endPatience = time.Second

// await waits for the end of p and collects it. In vain where there are no pidfds, or p does not end.
func (w *workers) await(p *process) {
	for end := time.Now().Add(endPatience); !p.ended && p.pidfd >= 0 && time.Now().Before(end); {
		var set pollSet
		set.watch(p.pidfd, pollIn)
		set.wait(time.Until(end))
		w.reap()
	}
}

// becomesOurs waits until the process between the zygote and its worker is gone.
func (w *workers) becomesOurs(pid int) bool {
	for end := time.Now().Add(adoptionPatience); time.Now().Before(end); {
		switch w.family.parentOf(pid) {
		case w.family.self:
			return true
		case 0:
			return false
		}
		w.reap()
		new(pollSet).wait(100 * time.Microsecond)
	}
	return false
}

// fate says how p ended, if it did.
func (w *workers) fate(p *process) string {
	w.await(p) // its socket closes a moment before it can be reaped
	switch {
	case !p.ended:
		return "closed its socket"
	case p.status.Signaled():
		return fmt.Sprintf("was ended by signal %d", p.status.Signal())
	}
	return fmt.Sprintf("exited with status %d", p.status.ExitStatus())
}

// lastWords is the end of what the worker and the zygote wrote.
func (w *workers) lastWords() string {
	said := w.said
	if w.next != nil {
		said = lastOf(said, drain(&w.next.stderr))
	}
	if w.zygote != nil {
		said = lastOf(said, drain(&w.zygote.stderr))
	}
	return strings.TrimSpace(string(said))
}

func quoted(words string) string {
	if words == "" {
		return ""
	}
	return ": " + words
}

// keptWords is enough for a traceback, and fits an ERROR.
const keptWords = 3000

func lastOf(said, more []byte) []byte {
	said = append(said, more...)
	return said[max(0, len(said)-keptWords):]
}

// drain reads what the pipe holds.
func drain(fd *int) []byte {
	var held []byte
	buffer := make([]byte, 4096)
	for *fd >= 0 {
		n, err := sysRead(*fd, buffer)
		if n <= 0 {
			if err != syscall.EAGAIN {
				closeEnd(fd)
			}
			break
		}
		held = lastOf(held, buffer[:n])
	}
	return held
}

// readyByte reads what was said and, from the kernel, which process did. true: it is an R and nothing more.
func readyByte(socket int) (bool, int, error) {
	var said [2]byte
	control := make([]byte, syscall.CmsgSpace(syscall.SizeofUcred))
	n, controlled, _, _, err := syscall.Recvmsg(socket, said[:], control, syscall.MSG_CMSG_CLOEXEC)
	if err == syscall.EINTR {
		err = syscall.EAGAIN
	}
	if err != nil || n == 0 {
		return false, 0, err
	}
	messages, err := syscall.ParseSocketControlMessage(control[:controlled])
	if err != nil || len(messages) == 0 {
		return false, 0, fmt.Errorf("no credentials came with the ready byte")
	}
	sender, err := syscall.ParseUnixCredentials(&messages[0])
	if err != nil {
		return false, 0, err
	}
	return n == 1 && said[0] == 'R', int(sender.Pid), nil
}
