// Command goworker is the warm worker for Go (PROTOCOL.md): it runs main.go as `go run main.go` does, in half the time.
//
//	goworker                      the worker
//	goworker prepare [PACKAGE…]   once, when the image is built
//	goworker cacheprog            as GOCACHEPROG, whenever the go command itself runs
//
// There is no interpreter to keep warm. What can be had in advance is knowing how the go command would build a program
// that needs nothing but the standard library: `goworker prepare` asks it when the image is built, and the worker
// calls the compiler and the linker itself. Every other program it leaves to the real `go run`.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
)

// preparedFile is what prepare leaves beside this binary.
const preparedFile = "toolchain.json"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "prepare" {
		if err := prepare(os.Args[2:]); err != nil {
			fail(err)
		}
		return
	}
	tools, err := readToolchain()
	if err != nil {
		fail(err)
	}
	if len(os.Args) > 1 && os.Args[1] == "cacheprog" {
		if err := serveCache(tools.Cache, os.Stdin, os.Stdout); err != nil {
			fail(err)
		}
		return
	}
	run, err := awaitGo()
	if err != nil {
		fail(err)
	}
	os.Exit(tools.perform(run))
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "goworker: %v\n", err)
	os.Exit(70)
}

// goMessage is what the agent says once.
type goMessage struct {
	Program string            `json:"program"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
	Cwd     string            `json:"cwd"`
}

// awaitGo reports that the worker is ready and returns what it is to run. An agent that is gone ends it.
func awaitGo() (*goMessage, error) {
	fd, err := strconv.Atoi(os.Getenv("PETRI_WORKER_FD"))
	if err != nil {
		return nil, fmt.Errorf("PETRI_WORKER_FD is %q; it must be a descriptor", os.Getenv("PETRI_WORKER_FD"))
	}
	syscall.CloseOnExec(fd)
	channel := os.NewFile(uintptr(fd), "worker socket")
	defer channel.Close()
	if _, err := channel.Write([]byte("R")); err != nil {
		return nil, err
	}
	var length [4]byte
	if _, err := io.ReadFull(channel, length[:]); err != nil {
		os.Exit(0)
	}
	text := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(channel, text); err != nil {
		os.Exit(0)
	}
	message := new(goMessage)
	if err := json.Unmarshal(text, message); err != nil {
		return nil, fmt.Errorf("go message: %w", err)
	}
	return message, nil
}
