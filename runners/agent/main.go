// Command agent is PID 1 of a sandbox: it speaks the runner protocol on its standard input and output, and supervises
// the worker that runs what the host asks for.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"petri/agent/selfcheck"
)

func init() {
	// The loop stays on the first thread: the kernel gives it SIGCHLD by preference, and that interrupts its wait.
	runtime.LockOSThread()
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "selfcheck" { // as any run may call it; no agent, then
		if err := selfcheck.Run(os.Stdin, os.Stdout); err != nil {
			die("selfcheck: %s", err)
		}
		return
	}
	birth := openBirth()
	if err := prctl(prSetDumpable, 0); err != nil {
		die("prctl(PR_SET_DUMPABLE): %s", err)
	}
	runtime.GOMAXPROCS(1) // one loop; a second processor would only make the runtime wake threads up
	worker := flag.String("worker", "/opt/petri/worker.json", "worker manifest of this image")
	workspace := flag.String("workspace", "/workspace", "work directory")
	version := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *version {
		fmt.Println(agentVersion)
		return
	}
	in, out, err := takeChannel()
	if err != nil {
		die("taking the channel off descriptors 0 and 1: %s", err)
	}
	a := &agent{
		channel: channel{in: in, out: out},
		streams: streamTable{open: map[uint32]streamUse{}},
		base:    inherited(os.Environ()),
		birth:   birth,
		puts:    map[uint32]*put{},
	}
	if err := a.furnish(*worker, *workspace); err != nil {
		a.channel.send(kindError, 0, refuse("worker_failed", "%s", err).encode())
		a.channel.flushFor(lastWordsPatience)
		os.Exit(exitNoWorker)
	}
	warm()
	a.serve()
}

func die(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "agent: "+format+"\n", values...)
	os.Exit(exitNoWorker)
}

// furnish opens what the agent works on.
func (a *agent) furnish(worker, workspace string) error {
	var err error
	if a.family, err = openFamily(); err != nil {
		return err
	}
	a.birth.shed(a.family.init)
	if !a.family.init {
		if err := prctl(prSetChildSubreaper, 1); err != nil {
			return fmt.Errorf("prctl(PR_SET_CHILD_SUBREAPER): %w", err)
		}
	}
	if a.work, err = openWorkdir(workspace); err != nil {
		return fmt.Errorf("work directory %s: %w", workspace, err)
	}
	described, err := readManifest(worker)
	if err != nil {
		return err
	}
	a.workers = &workers{
		manifest: described, base: a.base, dir: workspace, birth: a.birth, family: a.family,
		reap: a.reap, clear: func() { a.killAll(nil) },
	}
	return nil
}

// firstOwnFd is where the channel goes: above anything that a child is given, which is 0 to 3.
const firstOwnFd = 10

// takeChannel moves the channel off descriptors 0 and 1, before anything else runs, and puts /dev/null there. Nothing
// that was inherited beyond them reaches a child.
func takeChannel() (in, out int, err error) {
	const all = 1<<31 - 1
	if _, _, errno := syscall.RawSyscall(sysCloseRange, 3, all, closeRangeCloexec); errno != 0 {
		for fd := 3; fd < 1024; fd++ { // before Linux 5.11
			syscall.CloseOnExec(fd)
		}
	}
	if in, err = fcntl(0, syscall.F_DUPFD_CLOEXEC, firstOwnFd); err != nil {
		return
	}
	if out, err = fcntl(1, syscall.F_DUPFD_CLOEXEC, firstOwnFd); err != nil {
		return
	}
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer sysClose(null)
	for fd := range 3 {
		if err = syscall.Dup3(null, fd, 0); err != nil {
			return
		}
	}
	if err = syscall.SetNonblock(in, true); err == nil {
		err = syscall.SetNonblock(out, true)
	}
	return
}

// warm takes the path of a first request once, so that the first one does not pay for it.
func warm() {
	payload := encode(map[string]any{
		"program": "main", "argv": nil, "files": []map[string]any{{"path": "main", "size": 1}}, "args": []string{"x"},
		"env": map[string]string{"K": "V"}, "timeout_ms": 1, "stream_limit": 1, "output_limit": 1, "last": true,
	})
	var rehearsal decoder
	room := rehearsal.room()
	rehearsal.received(copy(room, append(appendHeader(nil, kindExec, 1, len(payload)), payload...)))
	if f, whole, err := rehearsal.next(); err == nil && whole {
		if order, refused := decodeExec(f.payload); refused == nil {
			encode(goMessage{*order.Program, order.Args, order.Env, order.Cwd})
		}
	}
	encode((&run{}).exit())
	encode(refuse("io_error", "").encode())
}
