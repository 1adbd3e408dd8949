package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// agent is all there is, driven by one loop on one thread: whatever happens, happens between two waits, so
// nothing here is locked and nothing races. Every descriptor is non-blocking.
type agent struct {
	channel channel
	streams streamTable
	work    *workdir
	family  *family
	workers *workers
	birth   *birth
	base    map[string]string
	polled  pollSet
	roomy   bool // the host takes output in this turn: one piece of each source, so that none starves another

	run      *run
	puts     map[uint32]*put
	errands  []errand
	greeted  bool // HELLO has been sent
	finished bool // a run was the last: no next worker is prepared
	session  bool // a run was not the last: the next one is to find a worker ready
}

// exitProtocol is the agent's exit status when the host broke the protocol, exitNoWorker when there is nothing it
// could do in this image.
const (
	exitClosed   = 0
	exitNoWorker = 1
	exitProtocol = 70
)

// lastWordsPatience is how long the agent waits for a slow host to take the ERROR that says why it ends.
const lastWordsPatience = 200 * time.Millisecond

// serve runs the agent to its end.
func (a *agent) serve() {
	defer func() {
		if fault := recover(); fault != nil {
			a.giveUp(refuse("io_error", "fault in the agent: %v", fault), exitProtocol)
		}
	}()
	a.workers.prepare(1, false)
	a.greet() // there may be nothing to wait for
	for {
		a.wait()
		a.reap()
		a.listen()
		now := time.Now()
		a.workers.attend(&a.polled, now)
		a.greet()
		a.conduct(now)
		a.runErrand()
		if a.channel.flush() != nil {
			a.end(exitClosed)
		}
		a.streams.told(a.channel.taken)
		a.prepareNext()
	}
}

// tick bounds how long the end of a process may stay unseen during a run. A signal, SIGCHLD, cuts the wait short and a
// pidfd reports the main process, so this is for a signal that comes just between reaping and waiting.
const tick = 100 * time.Millisecond

// tickBlind: without pidfds the tick is all there is.
const tickBlind = 2 * time.Millisecond

func (a *agent) wait() {
	a.polled.clear()
	var until time.Time
	soonest := func(when time.Time) {
		if until.IsZero() || when.Before(until) {
			until = when
		}
	}
	if a.greeted {
		a.polled.watch(a.channel.in, pollIn)
	} else {
		a.polled.watch(a.channel.in, pollRdHup) // frames before HELLO wait; a host that has gone does not
	}
	a.roomy = a.channel.roomy()
	if a.channel.unsent() > 0 {
		a.polled.watch(a.channel.out, pollOut)
	}
	a.workers.watch(&a.polled)
	if a.workers.underWay() {
		soonest(a.workers.deadline)
	}
	if r := a.run; r != nil && r.proc != nil {
		r.watch(&a.polled, a.roomy)
		soonest(time.Now().Add(tick))
		if r.proc.pidfd < 0 {
			soonest(time.Now().Add(tickBlind))
		}
		switch r.phase {
		case running:
			soonest(r.deadline)
		case draining:
			soonest(r.drainBy)
		}
	}
	timeout := time.Duration(-1)
	switch {
	case a.roomy && len(a.errands) > 0, a.run != nil && a.run.phase == waiting && !a.workers.underWay():
		timeout = 0
	case !until.IsZero():
		timeout = max(time.Until(until), 0)
	}
	a.polled.wait(timeout)
}

// reap records the end of every child.
func (a *agent) reap() bool {
	return a.family.reap(func(pid int, status syscall.WaitStatus, usage *syscall.Rusage) {
		known := []*process{a.workers.zygote, a.workers.next, nil}
		if a.run != nil {
			known[2] = a.run.proc
		}
		for _, p := range known {
			if p != nil && p.pid == pid {
				p.noteEnd(status, usage)
			}
		}
	})
}

// listen takes in what the host has sent.
func (a *agent) listen() {
	if !a.polled.fired(a.channel.in) {
		return
	}
	if !a.greeted || a.channel.receive() != nil {
		a.end(exitClosed)
	}
	for {
		f, whole, err := a.channel.decoder.next()
		if err != nil {
			a.protocolFault("%s", err)
		}
		if !whole {
			return
		}
		a.accept(f)
	}
}

// greet says HELLO when the first worker is ready, or that there is none.
func (a *agent) greet() {
	switch {
	case a.greeted:
	case a.workers.state == failed:
		a.giveUp(refuse("worker_failed", "%s", a.workers.failure), exitNoWorker)
	case a.workers.state == ready, a.workers.state == zygoteReady:
		a.greeted = true
		a.channel.send(kindHello, 0, encode(helloMessage{
			protocolVersion, agentVersion, a.workers.manifest.Language, a.workers.manifest.LanguageVersion,
		}))
	}
}

// prepareNext gets the next worker ready while nobody needs it.
func (a *agent) prepareNext() {
	if a.run != nil || a.finished || a.workers.state == failed {
		return
	}
	if a.workers.state == absent || a.workers.state == zygoteReady && a.session {
		a.channel.rest()
		a.workers.prepare(attemptsPerWorker, a.session)
	}
}

// killAll ends everything but the zygote and a ready worker, and collects them.
func (a *agent) killAll(kept []int) {
	killedAll, err := a.family.end(kept, a.reap)
	if err != nil {
		a.giveUp(refuse("io_error", "%s", err), exitNoWorker)
	}
	if killedAll {
		a.workers.forget()
	}
}

// protocolFault ends the connection: after this, neither side can know what the other means.
func (a *agent) protocolFault(format string, values ...any) {
	a.giveUp(refuse("bad_request", "protocol: %s", fmt.Sprintf(format, values...)), exitProtocol)
}

func (a *agent) giveUp(why *refusal, status int) {
	a.channel.send(kindError, 0, why.encode())
	a.channel.flushFor(lastWordsPatience)
	a.end(status)
}

// end ends the agent and with it, as PID 1, the container. Elsewhere it leaves no process behind.
func (a *agent) end(status int) {
	if !a.family.init {
		_, _ = a.family.end(nil, a.reap)
	}
	os.Exit(status)
}
