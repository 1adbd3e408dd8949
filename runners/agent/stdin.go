package main

import (
	"syscall"
)

// feed takes standard input in. false: more waits than may.
func (r *run) feed(bytes []byte) bool {
	if r.stdinEnd || r.deaf() {
		return true // nobody can read it any more
	}
	if len(r.stdin)+len(bytes) > maxStdinWaiting {
		return false
	}
	if len(r.stdin) == 0 && r.proc != nil {
		bytes = r.writeStdin(bytes)
	}
	r.stdin = append(r.stdin, bytes...)
	return true
}

// deaf: the guest has closed its standard input. That a worker has which is dead before it began says nothing.
func (r *run) deaf() bool { return r.proc != nil && r.proc.stdin < 0 && r.begun() }

func (r *run) endStdin() {
	r.stdinEnd = true
	r.pourStdin()
}

// pourStdin gives the guest what it takes of what waits, and end of file after the last byte.
func (r *run) pourStdin() {
	if r.proc == nil {
		return
	}
	r.stdin = r.writeStdin(r.stdin)
	if len(r.stdin) == 0 {
		r.stdin = nil
		if r.stdinEnd {
			closeEnd(&r.proc.stdin)
		}
	}
}

// writeStdin returns what is still to be written.
func (r *run) writeStdin(bytes []byte) []byte {
	for len(bytes) > 0 && r.proc.stdin >= 0 {
		n, err := sysWrite(r.proc.stdin, bytes)
		if err == syscall.EAGAIN {
			return bytes
		}
		if err != nil { // EPIPE: the guest has closed it
			closeEnd(&r.proc.stdin)
			break
		}
		if len(r.poured) < pipeHolds {
			r.poured = append(r.poured, bytes[:min(n, pipeHolds-len(r.poured))]...)
		}
		bytes = bytes[n:]
	}
	if r.deaf() {
		return nil
	}
	return bytes
}
