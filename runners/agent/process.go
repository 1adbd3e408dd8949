package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// process is a child of the agent and our ends of what connects us to it. A descriptor that is closed is -1.
type process struct {
	pid, pidfd            int
	stdin, stdout, stderr int
	control               int           // the worker socket, -1 for a plain command
	spentBefore           time.Duration // processor time of its start, which is not the run's

	ended   bool // reaped; the rest is then set
	endedAt time.Time
	status  syscall.WaitStatus
	usage   syscall.Rusage
}

// ends is the child's half of a process to be: standard input, output, error and worker socket.
type ends [4]int

// openPipes makes the pipes, and with control the worker socket, of a process to be.
func openPipes(control bool) (*process, ends, error) {
	ours := &process{pid: -1, pidfd: -1, stdin: -1, stdout: -1, stderr: -1, control: -1}
	theirs := ends{-1, -1, -1, -1}
	pair := func(ourEnd, theirEnd *int, reading bool) error {
		var both [2]int
		if err := syscall.Pipe2(both[:], syscall.O_CLOEXEC); err != nil {
			return err
		}
		*ourEnd, *theirEnd = both[1], both[0]
		if reading {
			*ourEnd, *theirEnd = both[0], both[1]
		}
		return syscall.SetNonblock(*ourEnd, true)
	}
	err := pair(&ours.stdin, &theirs[0], false)
	if err == nil {
		err = pair(&ours.stdout, &theirs[1], true)
	}
	if err == nil {
		err = pair(&ours.stderr, &theirs[2], true)
	}
	if err == nil && control {
		ours.control, theirs[3], err = socketPair()
	}
	if err != nil {
		ours.closeAll()
		theirs.close()
	}
	return ours, theirs, err
}

// socketPair is a worker socket: our end, which learns the sender of what it receives from the kernel, and theirs.
func socketPair() (int, int, error) {
	both, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, err
	}
	err = syscall.SetNonblock(both[0], true)
	if err == nil {
		err = syscall.SetsockoptInt(both[0], syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1)
	}
	if err != nil {
		sysClose(both[0])
		sysClose(both[1])
		return -1, -1, err
	}
	return both[0], both[1], nil
}

func (e ends) close() {
	for _, fd := range e {
		if fd >= 0 {
			sysClose(fd)
		}
	}
}

func closeEnd(fd *int) {
	if *fd >= 0 {
		sysClose(*fd)
		*fd = -1
	}
}

func (p *process) closeAll() {
	for _, fd := range []*int{&p.pidfd, &p.stdin, &p.stdout, &p.stderr, &p.control} {
		closeEnd(fd)
	}
}

// noteEnd records what the kernel says of the end of p.
func (p *process) noteEnd(status syscall.WaitStatus, usage *syscall.Rusage) {
	p.ended, p.endedAt, p.status, p.usage = true, time.Now(), status, *usage
	closeEnd(&p.pidfd) // it would stay readable for ever
}

// adopt ties p to the running process pid.
func (p *process) adopt(pid int) {
	p.pid = pid
	if pidfd, err := pidfdOpen(pid); err == nil { // without one (gVisor), the loop's tick notices the end
		p.pidfd = pidfd
	}
}

// command is something to start. Its descriptors are the child's 0, 1, 2 and, for a worker, 3; it gets no others,
// because everything else of the agent's is close-on-exec.
type command struct {
	path string
	argv []string
	env  []string
	dir  string
}

// startWithPipes starts c in a process group of its own, and with control on a worker socket.
func (c *command) startWithPipes(birth *birth, control bool) (*process, error) {
	ours, theirs, err := openPipes(control)
	if err != nil {
		return nil, err
	}
	defer theirs.close()
	handed := make([]uintptr, 0, len(theirs))
	for _, fd := range theirs {
		if fd >= 0 {
			handed = append(handed, uintptr(fd))
		}
	}
	birth.begin()
	pid, err := syscall.ForkExec(c.path, c.argv, &syscall.ProcAttr{
		Dir: c.dir, Env: c.env, Files: handed, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	birth.end()
	if err != nil {
		ours.closeAll()
		return nil, err
	}
	ours.adopt(pid)
	return ours, nil
}

// notStarted is why a command did not start, in a shell's words and with a shell's exit code.
type notStarted struct {
	code   int
	reason string
}

var (
	notFound     = &notStarted{127, "not found"}
	notPermitted = &notStarted{126, "permission denied"}
	isADirectory = &notStarted{126, "is a directory"}
	wrongFormat  = &notStarted{126, "exec format error"}
)

// whyNot reads the answer of a start that failed.
func whyNot(err error) *notStarted {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return notFound // of a script: its interpreter
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return notPermitted
	case errors.Is(err, syscall.ENOEXEC):
		return wrongFormat
	}
	return &notStarted{126, err.Error()}
}

// defaultPath is execvp's, where the run has no PATH.
const defaultPath = "/bin:/usr/bin"

// findCommand is the file that name means in a directory and an environment, found as a shell would.
func findCommand(name, dir string, env []string) (string, *notStarted) {
	if strings.Contains(name, "/") {
		return name, runnable(filepath.Join(dir, name), name)
	}
	search := defaultPath
	for _, variable := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			search = value
			break
		}
	}
	why := notFound
	if name == "" {
		return "", why
	}
	for _, where := range strings.Split(search, ":") {
		candidate := filepath.Join(where, name)
		if where == "" || where == "." {
			candidate = "./" + name
		}
		problem := runnable(filepath.Join(dir, candidate), candidate)
		if problem == nil {
			return candidate, nil
		}
		if problem != notFound && problem != isADirectory {
			why = problem
		}
	}
	return "", why
}

// runnable looks at name, which lies at inDir unless it is absolute.
func runnable(inDir, name string) *notStarted {
	if strings.HasPrefix(name, "/") {
		inDir = name
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(inDir, &stat); err != nil {
		return whyNot(err)
	}
	if stat.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		return isADirectory
	}
	if syscall.Access(inDir, 1) != nil {
		return notPermitted
	}
	return nil
}
