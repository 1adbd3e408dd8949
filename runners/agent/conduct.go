package main

import (
	"syscall"
	"time"
)

// Steering a run from EXEC to EXIT. What a run is, and what its parts do, is in run.go.

// startExec opens a run.
func (a *agent) startExec(stream uint32, payload []byte) {
	if a.run != nil {
		a.refuse(stream, refuse("busy", "the exec of stream %d is under way", a.run.stream))
		return
	}
	order, refused := decodeExec(payload)
	if refused != nil {
		a.refuse(stream, refused)
		return
	}
	a.run = newRun(stream, order)
	a.work.reclaim()
	a.takeFiles(nil)
}

// takeFiles writes what has come of the run's files, and goes on when that was all of it.
func (a *agent) takeFiles(bytes []byte) {
	rest, refused := a.run.intake.take(a.work, bytes)
	switch {
	case refused != nil:
		a.abandon(refused)
	case len(rest) > 0:
		a.protocolFault("DATA on stream %d holds %d bytes more than its files declare", a.run.stream, len(rest))
	case a.run.intake.complete():
		a.run.become(waiting)
		a.launch()
	}
}

// launch starts a run that has all its files, as soon as the workers leave room for it.
func (a *agent) launch() {
	r, started := a.run, time.Now()
	if a.workers.underWay() {
		r.asked = true
		return // conduct comes back when it is over
	}
	if refused := a.checkCwd(); refused != nil {
		a.abandon(refused)
		return
	}
	switch {
	case r.order.Argv != nil:
		a.launchCommand(started)
	case a.workers.manifest.needsOwnWorker(a.base, r.order.Env):
		proc, err := a.workers.start(merged(a.base, r.order.Env), false)
		if err != nil {
			a.abandon(refuse("worker_failed", "%s", err))
			return
		}
		r.launched(proc, started)
		r.ownWorker, r.retries = true, 0
	default:
		proc := a.workers.take(r.order.Last)
		if proc == nil {
			a.askForWorker()
			return
		}
		r.launched(proc, started)
		r.post(a.work, a.base)
	}
	if a.run == r && r.phase == running {
		r.catchUp()
	}
}

// askForWorker has a worker made for the run that waits, unless that has been tried.
func (a *agent) askForWorker() {
	r := a.run
	if a.workers.state == failed && r.asked {
		a.abandon(refuse("worker_failed", "%s", a.workers.failure))
		return
	}
	r.asked = true
	a.workers.prepare(attemptsPerWorker, !r.order.Last)
}

// launchCommand starts an argv. That there is no such command is the guest's doing, and its outcome.
func (a *agent) launchCommand(started time.Time) {
	r := a.run
	argv := *r.order.Argv
	command := &command{argv: argv, env: flattened(merged(a.base, r.order.Env)), dir: a.work.at(r.order.Cwd)}
	var why *notStarted
	if command.path, why = findCommand(argv[0], command.dir, command.env); why == nil {
		proc, err := command.startWithPipes(a.birth, false)
		if err == nil {
			r.launched(proc, started)
			return
		}
		why = whyNot(err)
	}
	a.refuseCommand(argv[0]+": "+why.reason+"\n", why.code)
}

func (a *agent) refuseCommand(line string, code int) {
	keep := min(int64(len(line)), *a.run.order.StreamLimit, *a.run.order.OutputLimit, maxOutputPayload)
	if keep > 0 {
		a.channel.send(kindStderr, a.run.stream, []byte(line[:keep]))
	}
	a.conclude(exitMessage{ExitCode: &code, StderrTruncated: keep < int64(len(line))})
}

func (a *agent) checkCwd() *refusal {
	if a.run.order.Cwd == "" {
		return nil
	}
	fd, err := a.work.open(a.run.order.Cwd, oPath|syscall.O_DIRECTORY, 0)
	if err != nil {
		refused := fileRefusal(a.run.order.Cwd, err)
		return refuse(refused.code, "cwd: %s", refused.message)
	}
	sysClose(fd)
	return nil
}

// conduct takes the run as far as it can go now.
func (a *agent) conduct(now time.Time) {
	r := a.run
	if r == nil {
		return
	}
	switch r.phase {
	case receiving:
		return
	case waiting:
		a.launch()
		return
	}
	if a.polled.fired(r.proc.control) {
		if r.ownWorker {
			r.hearR(a.work, a.base)
		} else if len(r.goMessage) > 0 {
			r.deliverGo()
		}
	}
	if len(r.stdin) > 0 && a.polled.fired(r.proc.stdin) {
		r.pourStdin()
	}
	if r.phase == running {
		a.superviseRunning(now)
	}
	if r.phase == draining {
		a.drain(now)
	}
	if r.phase == emptying {
		a.empty()
	}
}

// superviseRunning forwards output until the main process has ended or has to.
func (a *agent) superviseRunning(now time.Time) {
	r := a.run
	if a.polled.fired(r.proc.stdout) {
		r.forward(&a.channel, &r.proc.stdout, &r.stdout)
	}
	if a.polled.fired(r.proc.stderr) {
		r.forward(&a.channel, &r.proc.stderr, &r.stderr)
	}
	overdue := !now.Before(r.deadline)
	if !r.proc.ended && (overdue || r.outputLimit) {
		a.killRun()
		// It may have ended by itself while the decision was made.
		killed := r.proc.status.Signaled() && r.proc.status.Signal() == syscall.SIGKILL
		r.timedOut = overdue && killed && !r.outputLimit
	}
	if r.proc.ended && r.mayRestart() {
		r.restart()
		return
	}
	if r.proc.ended {
		r.become(draining)
		r.drainBy = r.proc.endedAt.Add(drainPatience)
	}
}

// killRun ends everything that the run started; the main process has been reaped when it returns.
func (a *agent) killRun() {
	a.run.retries = 0
	a.killAll(a.workers.kept())
}

// drain reads on until nobody holds the pipes any more, for as long as patience lasts, and then ends whoever is left.
func (a *agent) drain(now time.Time) {
	r := a.run
	a.forwardAll()
	open := r.proc.stdout >= 0 || r.proc.stderr >= 0
	if open && now.Before(r.drainBy) && !r.outputLimit {
		return
	}
	a.killRun()
	r.become(emptying)
}

// empty reads what the pipes still hold, at the pace of the host, and ends the run.
func (a *agent) empty() {
	r := a.run
	if a.forwardAll() {
		return
	}
	a.conclude(r.exit())
}

// forwardAll forwards what there is. true: the host has to take some of it before there can be more.
func (a *agent) forwardAll() bool {
	r := a.run
	for more := true; more; {
		if !a.channel.roomy() {
			return true
		}
		more = r.forward(&a.channel, &r.proc.stdout, &r.stdout)
		more = r.forward(&a.channel, &r.proc.stderr, &r.stderr) || more
	}
	return false
}

// signalRun delivers a SIGNAL.
func (a *agent) signalRun(signal syscall.Signal) {
	r := a.run
	switch {
	case signal != syscall.SIGKILL:
		r.signal(signal)
	case r.proc == nil:
		a.conclude(r.exit())
	default:
		a.killRun()
	}
}

// conclude reports how the run ended and forgets it.
func (a *agent) conclude(message exitMessage) {
	r := a.run
	a.channel.send(kindExit, r.stream, encode(message))
	a.forgetRun()
	a.finished, a.session = r.order.Last, !r.order.Last
}

// abandon reports why nothing was run.
func (a *agent) abandon(why *refusal) {
	a.channel.send(kindError, a.run.stream, why.encode())
	a.forgetRun()
}

func (a *agent) forgetRun() {
	r := a.run
	if r.proc != nil {
		r.proc.closeAll()
	}
	r.intake.close()
	r.become(over)
	a.run = nil
	a.closes(r.stream)
}
