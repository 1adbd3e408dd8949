package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// atRunTime are the variables of Go that a program reads and a build does not. (The compiler, a Go program too, would
// heed them, and make the same binary.)
var atRunTime = []string{"GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK"}

// shapingVariables are those that may change what the go command does.
func shapingVariables(environ []string) map[string]string {
	found := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if (strings.HasPrefix(name, "GO") || strings.HasPrefix(name, "CGO_")) && !slices.Contains(atRunTime, name) {
			found[name] = value
		}
	}
	return found
}

// plain says whether the compiler and the linker are all that the go command would call for this run.
func (t *toolchain) plain(run *goMessage, environ []string) bool {
	if run.Program != filepath.Join(run.Cwd, "main.go") || !filepath.IsAbs(run.Cwd) {
		return false
	}
	if len(run.Args) > 0 && strings.HasSuffix(run.Args[0], ".go") { // the go command takes it for a second source file
		return false
	}
	if !sameVariables(t.Env, shapingVariables(environ)) {
		return false
	}
	if exists(filepath.Join(configDir(run.Env), "go", "env")) { // where go env -w writes
		return false
	}
	for dir := run.Cwd; ; dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, "go.mod")) || exists(filepath.Join(dir, "go.work")) {
			return false
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	source, err := os.ReadFile(run.Program)
	return err == nil && t.plainSource(source)
}

func sameVariables(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name, value := range a {
		if other, set := b[name]; !set || other != value {
			return false
		}
	}
	return true
}

func configDir(env map[string]string) string {
	if dir := env["XDG_CONFIG_HOME"]; dir != "" {
		return dir
	}
	return filepath.Join(env["HOME"], ".config")
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

// plainSource: a main package of standard imports, without a word to the go command in it.
func (t *toolchain) plainSource(source []byte) bool {
	for _, directive := range []string{"//go:build", "//go:debug", "//go:embed", "+build"} {
		if bytes.Contains(source, []byte(directive)) {
			return false
		}
	}
	file, err := parser.ParseFile(token.NewFileSet(), "main.go", source, parser.ImportsOnly)
	if err != nil || file.Name.Name != "main" {
		return false
	}
	for _, imported := range file.Imports {
		name, err := strconv.Unquote(imported.Path.Value)
		if err != nil || name != "unsafe" && !slices.Contains(t.Packages, name) {
			return false
		}
	}
	return true
}

// build makes the program in work, or returns what the compiler had against it.
func (t *toolchain) build(work string, run *goMessage, environ []string) (executable string, refused []byte, err error) {
	objects := filepath.Join(work, "b001")
	if err := os.MkdirAll(filepath.Join(objects, "exe"), 0o777); err != nil {
		return "", nil, err
	}
	imports, err := os.ReadFile(t.ImportCfg)
	if err != nil {
		return "", nil, err
	}
	if err := os.WriteFile(filepath.Join(objects, "importcfg"), imports, 0o666); err != nil {
		return "", nil, err
	}
	// The go command shows the name of the source file shorter than it gives it to the compiler.
	compile := append(slices.Clone(t.Compile[:len(t.Compile)-1]), run.Program)
	if said, err := toolIn(run.Cwd, environ, compile, work).CombinedOutput(); err != nil || len(said) > 0 {
		return "", said, err
	}
	if err := os.WriteFile(filepath.Join(objects, "importcfg.link"), append(imports, t.ModInfo...), 0o666); err != nil {
		return "", nil, err
	}
	// The linker writes GOROOT into the program, for runtime.GOROOT.
	said, err := toolIn(run.Cwd, append(environ, "GOROOT="+t.Root), t.Link, work).CombinedOutput()
	if err != nil || len(said) > 0 {
		return "", nil, err
	}
	return filepath.Join(objects, "exe", "main"), nil, nil
}

func toolIn(dir string, environ, line []string, work string) *exec.Cmd {
	words := make([]string, len(line))
	for i, word := range line {
		words[i] = strings.ReplaceAll(word, workMark, work)
	}
	command := exec.Command(words[0], words[1:]...)
	command.Dir, command.Env = dir, append(environ, "PWD="+dir)
	return command
}
