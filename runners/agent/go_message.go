package main

import (
	"encoding/binary"
	"syscall"
)

// post makes the go message out of the order; the worker gets it as soon as it takes it.
func (r *run) post(work *workdir, base map[string]string) {
	message := encode(goMessage{
		Program: work.at(*r.order.Program),
		Args:    append([]string{}, r.order.Args...),
		Env:     merged(base, r.order.Env),
		Cwd:     work.at(r.order.Cwd),
	})
	r.goMessage = append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(message)), uint32(len(message))), message...)
	r.deliverGo()
}

// deliverGo writes what the worker takes of the go message without waiting. Our end of the socket stays open: what
// the kernel says there at the worker's end tells whether the message was read.
func (r *run) deliverGo() {
	for len(r.goMessage) > 0 {
		n, err := sysWrite(r.proc.control, r.goMessage)
		if err == syscall.EAGAIN {
			return
		}
		if err != nil {
			r.unread = true
			break
		}
		r.goMessage = r.goMessage[n:]
	}
	r.goMessage = nil
}

// maxRetries: a worker that dies just when it is wanted, killed by the run before, is bad luck. One that always does is no
// worker.
const maxRetries = 2

// begun: the worker has read its go message and closed its socket. Where it was closed over unread bytes instead, the
// kernel says so, once.
func (r *run) begun() bool {
	if r.proc.control < 0 {
		return true
	}
	var nothing [1]byte
	_, err := sysRead(r.proc.control, nothing[:])
	r.unread = r.unread || err == syscall.ECONNRESET
	if err != nil || r.unread {
		return false
	}
	closeEnd(&r.proc.control)
	return true
}

// mayRestart: the worker has ended, and nothing of this run has happened.
func (r *run) mayRestart() bool { return !r.begun() && r.unread && r.total == 0 && r.retries > 0 }

// restart goes back to waiting for a worker, with everything the dead one had been given.
func (r *run) restart() {
	r.become(waiting)
	r.proc.closeAll()
	r.proc, r.goMessage, r.asked, r.unread = nil, nil, false, false
	r.stdin, r.poured = append(r.poured, r.stdin...), nil
	r.retries--
}

// hearR: a worker that was started for this run alone is ready for its go message, or has closed its socket.
func (r *run) hearR(work *workdir, base map[string]string) {
	signal, _, err := readyByte(r.proc.control)
	if err == syscall.EAGAIN {
		return
	}
	r.ownWorker = false
	if err != nil || !signal {
		closeEnd(&r.proc.control) // whatever it is now, it is the guest's doing and the run
		return
	}
	r.post(work, base)
}
