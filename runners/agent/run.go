package main

import (
	"errors"
	"io"
	"syscall"
	"time"
)

// phase is where a run is. become is the only writer, and nextPhase the table it obeys.
type phase int

const (
	receiving phase = iota // bytes of its files are still to come
	waiting                // for the next worker
	running                // something of the guest's exists
	draining               // the main process is gone; others may still hold its pipes
	emptying               // everybody is gone; the pipes may still hold output
	over
)

var nextPhase = map[phase][]phase{
	receiving: {waiting, over},
	waiting:   {running, over},
	running:   {draining, waiting, over}, // waiting: the worker died before it had begun
	draining:  {emptying, over},
	emptying:  {over},
}

const (
	// drainPatience: a daemon that keeps standard output open must not hold the answer.
	drainPatience = 100 * time.Millisecond
	// maxStdinWaiting: a guest that does not read must not grow the agent without end.
	maxStdinWaiting = 16 << 20
	// pipeHolds is what a pipe takes before anybody reads: more than that is not worth remembering.
	pipeHolds = 64 << 10
)

// run is one EXEC, from its frame to its EXIT or ERROR.
type run struct {
	stream uint32
	order  *execOrder
	phase  phase
	intake intake

	proc      *process
	goMessage []byte // what the worker's socket has not taken yet
	asked     bool   // a worker is being made because of this run
	retries   int    // how often another worker may be tried
	unread    bool   // the worker ended without having taken its go message
	ownWorker bool   // its worker was started for it alone and has not said R yet

	stdin    []byte // waiting for the guest
	poured   []byte // the first that it was given, while it may not have begun
	stdinEnd bool
	signals  uint64 // asked for before there was anybody to get them: bit n-1 is signal n

	started, deadline, drainBy time.Time

	stdout, stderr output
	total          int64
	timedOut       bool
	outputLimit    bool
}

// output is what became of one of the guest's streams.
type output struct {
	kind      frameKind
	sent      int64
	truncated bool
}

func (r *run) become(next phase) {
	for _, allowed := range nextPhase[r.phase] {
		if allowed == next {
			r.phase = next
			return
		}
	}
	panic("a run cannot go on like this")
}

func newRun(stream uint32, order *execOrder) *run {
	return &run{
		stream: stream, order: order, intake: intake{files: order.Files},
		stdout: output{kind: kindStdout}, stderr: output{kind: kindStderr}, retries: maxRetries,
	}
}

// launched: proc is the guest, and its time runs since started.
func (r *run) launched(proc *process, started time.Time) {
	r.become(running)
	r.proc = proc
	r.started = started
	r.deadline = r.started.Add(time.Duration(*r.order.TimeoutMS) * time.Millisecond)
}

// catchUp gives a run that has just been started what came for it before.
func (r *run) catchUp() {
	r.pourStdin()
	for signal := syscall.Signal(1); r.signals != 0; signal++ {
		if r.signals&1 != 0 {
			r.signal(signal)
		}
		r.signals >>= 1
	}
}

// watch adds what the run may have to say. Unless roomy, its output stays in its pipes, and slows it.
func (r *run) watch(set *pollSet, roomy bool) {
	set.watch(r.proc.pidfd, pollIn)
	if r.ownWorker {
		set.watch(r.proc.control, pollIn)
	} else if len(r.goMessage) > 0 {
		set.watch(r.proc.control, pollOut)
	}
	if len(r.stdin) > 0 {
		set.watch(r.proc.stdin, pollOut)
	}
	if roomy {
		set.watch(r.proc.stdout, pollIn)
		set.watch(r.proc.stderr, pollIn)
	}
}

// forward reads once from one of the guest's streams and sends on what its limits leave. false: there is nothing
// more for now.
func (r *run) forward(channel *channel, source *int, to *output) bool {
	if *source < 0 {
		return false
	}
	keep := min(*r.order.StreamLimit-to.sent, *r.order.OutputLimit-r.total, maxOutputPayload)
	n, err := channel.sendFrom(*source, to.kind, r.stream, maxOutputPayload, int(max(keep, 0)))
	if err != nil {
		if errors.Is(err, io.EOF) || err != syscall.EAGAIN {
			closeEnd(source)
		}
		return false
	}
	kept := min(int64(n), max(keep, 0))
	to.sent += kept
	to.truncated = to.truncated || kept < int64(n)
	r.total += int64(n)
	r.outputLimit = r.outputLimit || r.total > *r.order.OutputLimit
	return true
}

// signal delivers to the run's process group: what a terminal, or timeout(1), would do.
func (r *run) signal(signal syscall.Signal) {
	if r.proc == nil {
		r.signals |= 1 << (signal - 1)
		return
	}
	if r.proc.ended {
		return // the number may belong to somebody else by now
	}
	r.retries = 0 // what it dies of now is what the host wanted
	if syscall.Kill(-r.proc.pid, signal) != nil {
		_ = syscall.Kill(r.proc.pid, signal) // it has moved to another group
	}
}

// exit is what became of the run.
func (r *run) exit() exitMessage {
	message := exitMessage{
		TimedOut:        r.timedOut,
		OutputLimit:     r.outputLimit,
		StdoutTruncated: r.stdout.truncated,
		StderrTruncated: r.stderr.truncated,
	}
	if r.proc == nil {
		killed := int(syscall.SIGKILL) // ended before anything was started
		message.Signal = &killed
		return message
	}
	if r.proc.status.Signaled() {
		signal := int(r.proc.status.Signal())
		message.Signal = &signal
	} else {
		code := r.proc.status.ExitStatus()
		message.ExitCode = &code
	}
	spent := time.Duration(r.proc.usage.Utime.Nano() + r.proc.usage.Stime.Nano())
	message.DurationUS = r.proc.endedAt.Sub(r.started).Microseconds()
	message.CPUUS = max(spent-r.proc.spentBefore, 0).Microseconds()
	message.MaxRSSKiB = int64(r.proc.usage.Maxrss)
	return message
}
