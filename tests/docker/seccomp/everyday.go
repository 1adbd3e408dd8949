// Runs in a sandbox: what people's Go programs do, each in a few lines. Prints the names of those that failed.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func same(got, want any) {
	if got != want {
		panic(fmt.Sprintf("%v, not %v", got, want))
	}
}

func goroutines() {
	var group sync.WaitGroup
	var lock sync.Mutex
	sum := 0
	for n := range 1000 {
		group.Go(func() {
			if n%100 == 0 {
				runtime.LockOSThread() // the thread ends with the goroutine
				time.Sleep(time.Millisecond)
			}
			lock.Lock()
			sum += n
			lock.Unlock()
		})
	}
	group.Wait()
	same(sum, 499500)
	select {
	case <-time.After(time.Millisecond):
	case <-make(chan int):
	}
}

func childProcesses() {
	same(string(must(exec.Command("sh", "-c", "printf a | tr a b").Output())), "b")
	command := exec.Command("cat")
	command.Stdin = bytes.NewReader(make([]byte, 1<<20))
	same(len(must(command.Output())), 1<<20)
	within, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := exec.CommandContext(within, "sleep", "60").Run()
	var ended *exec.ExitError
	same(errors.As(err, &ended) && ended.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL, true)
	group := exec.Command("true")
	group.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	check(group.Run())
	process := must(os.FindProcess(os.Getpid()))
	check(process.Signal(syscall.Signal(0)))
}

func httpOnLocalhost() {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	body := bytes.Repeat([]byte("x"), 1<<20)
	check(os.WriteFile("body", body, 0o600))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n := must(io.Copy(io.Discard, r.Body))
			fmt.Fprint(w, n)
			return
		}
		http.ServeFile(w, r, "body") // sendfile
	})}
	go server.Serve(listener)
	url := "http://" + listener.Addr().String()
	answer := must(http.Get(url))
	same(bytes.Equal(must(io.ReadAll(answer.Body)), body), true)
	answer = must(http.Post(url, "text/plain", bytes.NewReader(body)))
	same(string(must(io.ReadAll(answer.Body))), "1048576")
	check(server.Close())
}

// Go would splice from one connection to the other.
func relays() {
	back := must(net.Listen("tcp", "127.0.0.1:0"))
	front := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() {
		connection := must(back.Accept())
		must(connection.Write(bytes.Repeat([]byte("y"), 1<<20)))
		connection.Close()
	}()
	go func() {
		in := must(front.Accept())
		out := must(net.Dial("tcp", back.Addr().String()))
		same(must(io.Copy(in, out)), int64(1<<20))
		in.Close()
	}()
	same(len(must(io.ReadAll(must(net.Dial("tcp", front.Addr().String()))))), 1<<20)
}

func sockets() {
	listener := must(net.Listen("unix", filepath.Join(os.TempDir(), "go.sock")))
	go func() {
		connection := must(listener.Accept())
		must(io.WriteString(connection, "unix"))
		connection.Close()
	}()
	same(string(must(io.ReadAll(must(net.Dial("unix", listener.Addr().String()))))), "unix")
	datagrams := must(net.ListenPacket("udp", "127.0.0.1:0"))
	must(datagrams.WriteTo([]byte("d"), datagrams.LocalAddr()))
	n, _, err := datagrams.ReadFrom(make([]byte, 9))
	check(err)
	same(n, 1)
	same(len(must(net.Interfaces())), 1)
	must(net.LookupHost("127.0.0.1"))
}

func files() {
	content := make([]byte, 100000)
	must(rand.Read(content))
	check(os.MkdirAll("tree/below", 0o755))
	check(os.WriteFile("tree/a", content, 0o600))
	check(os.CopyFS("copy", os.DirFS("tree")))
	from, to := must(os.Open("tree/a")), must(os.Create("b"))
	must(io.Copy(to, from)) // copy_file_range
	check(to.Sync())
	same(bytes.Equal(must(os.ReadFile("b")), content), true)
	reader, writer, err := os.Pipe()
	check(err)
	go func() { must(io.Copy(writer, must(os.Open("b")))); writer.Close() }()
	same(must(io.Copy(must(os.Create("c")), reader)), int64(len(content)))
	memory := must(syscall.Mmap(int(from.Fd()), 0, 4096, syscall.PROT_READ, syscall.MAP_SHARED))
	same(memory[0], content[0])
	check(syscall.Mkfifo("fifo", 0o600))
	check(os.Chown("b", os.Getuid(), os.Getgid()))
	root := must(os.OpenRoot("tree"))
	must(root.Stat("a"))
	_, err = root.Open("../b")
	same(err != nil, true)
	check(os.RemoveAll("copy"))
}

func signalsAndLimits() {
	came := make(chan os.Signal, 1)
	signal.Notify(came, syscall.SIGUSR1)
	check(syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	<-came
	var limit syscall.Rlimit
	check(syscall.Getrlimit(syscall.RLIMIT_CORE, &limit))
	check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	check(syscall.Setpriority(syscall.PRIO_PROCESS, 0, 3))
	_, _ = user.Current()
}

func compiling() {
	check(os.MkdirAll("module", 0o755))
	check(os.WriteFile("module/go.mod", []byte("module m\n"), 0o600))
	check(os.WriteFile("module/m_test.go", []byte("package m\nimport \"testing\"\nfunc Test(t *testing.T) {}\n"), 0o600))
	command := exec.Command("go", "test", "-vet=off", "./...")
	command.Dir = "module"
	said, err := command.CombinedOutput()
	if err != nil {
		panic(string(said))
	}
}

func main() {
	programs := []struct {
		name string
		run  func()
	}{
		{"goroutines", goroutines}, {"childProcesses", childProcesses}, {"httpOnLocalhost", httpOnLocalhost},
		{"relays", relays}, {"sockets", sockets}, {"files", files}, {"signalsAndLimits", signalsAndLimits},
		{"compiling", compiling},
	}
	fmt.Print("failed:")
	status := 0
	for _, program := range programs {
		func() {
			defer func() {
				if fault := recover(); fault != nil {
					fmt.Fprintln(os.Stderr, program.name, fault)
					fmt.Print(" ", program.name)
					status = 1
				}
			}()
			program.run()
		}()
	}
	fmt.Println()
	os.Exit(status)
}
