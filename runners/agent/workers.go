package main

import (
	"fmt"
	"syscall"
	"time"
)

// readiness is how far the next worker is.
type readiness int

const (
	absent         readiness = iota // none, and none under way
	zygoteStarting                  // the zygote is warming up
	zygoteReady                     // it is warm, and has not been asked for a worker
	starting                        // the worker itself is on its way: its R is awaited
	ready
	failed // it could not be made; the next run that needs one tries again
)

const (
	// readyPatience: a cold interpreter on a busy machine takes a few seconds. Whoever takes longer never comes.
	readyPatience = 30 * time.Second
	// attemptsPerWorker: the second starts from nothing, zygote included, which cures whatever a run did to the first.
	attemptsPerWorker = 2
	// adoptionPatience: a zygote's worker is the agent's child as soon as the process between the two is gone.
	adoptionPatience = time.Second
)

// workers keeps one warm worker ready, and the zygote it comes from where the language has one. It is never at
// work while a run is: what it starts would be taken for the run's.
//
// A zygote is a warm worker itself, and the better one: what it never shared with a fork is quicker to write to and to
// tear down (measured with Python, whole run of print(1): 3.2 ms against 4.8). So the last run of a sandbox, which is the
// only one of most, gets the zygote, and a worker is forked only once there has been a run that was not the last.
type workers struct {
	manifest *manifest
	base     map[string]string
	dir      string
	birth    *birth
	family   *family
	reap     func() bool
	clear    func() // kills and reaps everything the agent has started

	state    readiness
	forking  bool // the zygote is to fork a worker as soon as it is ready
	zygote   *process
	next     *process // from starting on
	deadline time.Time
	attempts int    // that are left
	failure  string // why state is failed
	said     []byte // the last of what the zygote wrote
}

func (w *workers) underWay() bool { return w.state == zygoteStarting || w.state == starting }

// kept is whom a run's end leaves alive.
func (w *workers) kept() []int {
	var pids []int
	for _, p := range []*process{w.zygote, w.next} {
		if p != nil && p.pid > 0 && !p.ended {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// prepare starts towards a ready worker; fork tells whether a ready zygote is not enough.
func (w *workers) prepare(attempts int, fork bool) {
	w.forking = w.forking || fork
	if w.state == ready || w.underWay() || w.state == zygoteReady && !fork {
		return
	}
	w.attempts, w.failure = attempts, ""
	w.attempt()
}

func (w *workers) attempt() {
	w.attempts--
	w.deadline = time.Now().Add(readyPatience)
	var err error
	switch {
	case !w.manifest.Zygote:
		w.state = starting
		w.next, err = w.start(w.base, false)
	case w.zygote == nil:
		w.state = zygoteStarting
		w.said = nil
		w.zygote, err = w.start(w.base, true)
	default:
		w.state = starting
		w.next, err = w.fork()
	}
	if err != nil {
		w.fail(fmt.Sprintf("the worker could not be started: %s", err))
	}
}

// start starts the manifest's command with env.
func (w *workers) start(env map[string]string, zygote bool) (*process, error) {
	line := w.manifest.Command
	command := &command{line[0], line, w.manifest.startEnv(env, zygote), w.dir}
	started, err := command.startWithPipes(w.birth, true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", line[0], err)
	}
	return started, nil
}

// fork asks the zygote for a worker. Who that is, its R will tell.
func (w *workers) fork() (*process, error) {
	ours, theirs, err := openPipes(true)
	if err != nil {
		return nil, err
	}
	defer theirs.close()
	if err := syscall.Sendmsg(w.zygote.control, []byte("F"), syscall.UnixRights(theirs[:]...), nil, syscall.MSG_NOSIGNAL); err != nil {
		ours.closeAll()
		return nil, fmt.Errorf("asking the zygote: %w", err)
	}
	return ours, nil
}

// watch adds what the next worker's progress, and the loss of what is ready, shows on.
func (w *workers) watch(set *pollSet) {
	if w.zygote != nil {
		for _, fd := range []int{w.zygote.pidfd, w.zygote.control, w.zygote.stdout, w.zygote.stderr} {
			set.watch(fd, pollIn)
		}
	}
	if w.next != nil {
		set.watch(w.next.pidfd, pollIn)
		set.watch(w.next.control, pollIn)
	}
}

// attend takes in what has happened since the last turn.
func (w *workers) attend(polled *pollSet, now time.Time) {
	if w.zygote != nil {
		w.listenToZygote(polled)
	}
	if w.next != nil && (w.next.ended || polled.fired(w.next.control)) {
		w.listenToNext()
	}
	if w.underWay() && !now.Before(w.deadline) {
		w.fail(fmt.Sprintf("the worker was not ready within %s%s", readyPatience, quoted(w.lastWords())))
	}
}

func (w *workers) listenToZygote(polled *pollSet) {
	for _, fd := range []*int{&w.zygote.stdout, &w.zygote.stderr} {
		if polled.fired(*fd) {
			w.said = lastOf(w.said, drain(fd))
		}
	}
	if !w.zygote.ended && !polled.fired(w.zygote.control) {
		return
	}
	signal, _, err := readyByte(w.zygote.control)
	switch {
	case err == syscall.EAGAIN && !w.zygote.ended:
	case err == nil && signal && w.state == zygoteStarting:
		w.state = zygoteReady
		if w.forking {
			w.attempts++ // its start was half of this attempt
			w.attempt()
		}
	default:
		w.loseZygote()
	}
}

func (w *workers) loseZygote() {
	reason := ""
	if w.underWay() {
		reason = "the zygote " + w.fate(w.zygote) + quoted(w.lastWords())
	}
	w.dismiss(w.zygote)
	w.zygote = nil
	if w.underWay() {
		w.fail(reason)
	} else if w.state == zygoteReady {
		w.state = absent
	}
}

func (w *workers) listenToNext() {
	signal, pid, err := readyByte(w.next.control)
	if err == syscall.EAGAIN && !w.next.ended {
		return
	}
	if err != nil || !signal || w.next.ended || w.state == ready {
		w.loseNext()
		return
	}
	if w.next.pid < 0 { // forked by the zygote
		if !w.becomesOurs(pid) {
			w.fail(fmt.Sprintf("the worker (pid %d) did not become the agent's child", pid))
			return
		}
		w.next.adopt(pid)
		_ = syscall.Setpgid(pid, pid)
	}
	w.next.spentBefore = processorTime(w.next.pid)
	w.state = ready
}

// loseNext: a worker that ends while it waits is replaced between runs, one that never got so far has failed.
func (w *workers) loseNext() {
	if w.state != ready {
		w.fail("the worker " + w.fate(w.next) + " before it was ready" + quoted(w.lastWords()))
		return
	}
	w.dismiss(w.next)
	w.next, w.state = nil, absent
	if w.zygote != nil {
		w.state = zygoteReady
	}
}

// take hands a warm worker over: from here on it is the run's. nil: there is none, or none that will do for a run
// that is not the last.
func (w *workers) take(last bool) *process {
	var taken *process
	switch {
	case w.state == ready:
		taken, w.next = w.next, nil
	case w.state == zygoteReady && last:
		taken, w.zygote = w.zygote, nil
		taken.spentBefore = processorTime(taken.pid)
	default:
		return nil
	}
	w.state = absent
	if w.zygote != nil {
		w.state = zygoteReady
	}
	return taken
}

// forget closes what connects us to zygote and worker, when they have been killed.
func (w *workers) forget() {
	for _, p := range []*process{w.zygote, w.next} {
		if p != nil {
			p.closeAll()
		}
	}
	w.zygote, w.next, w.state = nil, nil, absent
}

// fail starts over from nothing, as often as is allowed.
func (w *workers) fail(reason string) {
	w.forget()
	w.clear()
	if w.attempts > 0 {
		w.attempt()
		return
	}
	w.state, w.failure = failed, reason
}
