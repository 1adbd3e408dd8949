package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// perform runs what the go message asks for and returns the exit code of `go run`.
func (t *toolchain) perform(run *goMessage) int {
	environ := make([]string, 0, len(run.Env)) // full, so that whoever appends has a copy
	for name, value := range run.Env {
		environ = append(environ, name+"="+value)
	}
	if !t.plain(run, environ) {
		return t.goRun(run, environ)
	}
	temporary := run.Env["TMPDIR"]
	if temporary == "" {
		temporary = "/tmp"
	}
	work, err := os.MkdirTemp(temporary, "go-build")
	if err != nil {
		return t.goRun(run, environ)
	}
	executable, refused, err := t.build(work, run, environ)
	switch {
	case executable != "":
		code := t.start(executable, run, environ)
		os.RemoveAll(work)
		return code
	case err != nil && len(refused) > 0:
		os.RemoveAll(work)
		fmt.Fprintf(os.Stderr, "# command-line-arguments\n%s", shortened(string(refused), work, run.Cwd))
		return 1
	}
	// No space, or the linker had a complaint: rare, and the go command's to tell.
	os.RemoveAll(work)
	return t.goRun(run, environ)
}

// goRun becomes the real thing.
func (t *toolchain) goRun(run *goMessage, environ []string) int {
	file := run.Program
	if filepath.Dir(file) == run.Cwd {
		file = filepath.Base(file)
	}
	err := os.Chdir(run.Cwd)
	if err == nil {
		err = syscall.Exec(filepath.Join(t.Root, "bin", "go"), append([]string{"go", "run", file}, run.Args...), environ)
	}
	fmt.Fprintf(os.Stderr, "goworker: go run: %v\n", err)
	return 70
}

// start runs the program as the go command does: with its bin directory in PATH, the three standard descriptors, and
// the ending told on standard error.
func (t *toolchain) start(executable string, run *goMessage, environ []string) int {
	path := filepath.Join(t.Root, "bin")
	if given := run.Env["PATH"]; given != "" {
		path += string(os.PathListSeparator) + given
	}
	program := exec.Command(executable, run.Args...)
	program.Dir, program.Env = run.Cwd, append(environ, "PATH="+path)
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Signals come to the process group. What they do is the program's to say, and its ending is ours to tell.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	if err := program.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// shortened is a compiler's output as the go command shows it, which writes paths as they look from dir.
func shortened(said, work, dir string) string {
	if !strings.HasSuffix(said, "\n") {
		said += "\n"
	}
	said = replacePrefix(said, work, workMark)
	relative := "."
	for ; len(relative) < len(dir); dir, relative = filepath.Dir(dir), up(relative) {
		said = replacePrefix(said, dir, relative)
	}
	return said
}

func up(relative string) string {
	if relative == "." {
		return ".."
	}
	return "../" + relative
}

// replacePrefix replaces old where a path may begin.
func replacePrefix(text, old, new string) string {
	for _, before := range []string{" ", "\n", "\n\t"} {
		text = strings.ReplaceAll(text, before+old, before+new)
	}
	if rest, ok := strings.CutPrefix(text, old); ok {
		text = new + rest
	}
	return text
}
