package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// toolchain is how the go command builds a program of standard packages only, as it said itself.
type toolchain struct {
	Root      string            `json:"root"`       // GOROOT
	Cache     string            `json:"cache"`      // GOCACHE, with the whole standard library in it
	Compile   []string          `json:"compile"`    // command lines, workMark standing for the build's directory
	Link      []string          `json:"link"`       //
	ModInfo   string            `json:"mod_info"`   // the line of the linker's configuration that debug.ReadBuildInfo shows
	ImportCfg string            `json:"import_cfg"` // file that names every standard package's archive
	Packages  []string          `json:"packages"`   // the standard packages a program may import
	Env       map[string]string `json:"env"`        // the variables that shaped all this
}

// workMark is the go command's own way of writing the directory of a build.
const workMark = "$WORK"

// readToolchain reads what prepare wrote beside this binary.
func readToolchain() (*toolchain, error) {
	text, err := os.ReadFile(besideMe(preparedFile))
	if err != nil {
		return nil, fmt.Errorf("%w; run goworker prepare", err)
	}
	tools := new(toolchain)
	return tools, json.Unmarshal(text, tools)
}

func besideMe(name string) string {
	self, err := os.Executable()
	if err != nil {
		fail(err)
	}
	return filepath.Join(filepath.Dir(self), name)
}

// prepare compiles the standard library, or the given packages of it, into GOCACHE, where `go run` finds it too, and
// writes down how the go command in PATH builds a program. To be run once, in the image, with the environment that
// programs will have. GOCACHE may be read-only from then on, with
// `goworker cacheprog` as GOCACHEPROG.
func prepare(packages []string) error {
	if len(packages) == 0 {
		packages = []string{"std"}
	}
	if os.Getenv("GOCACHE") == "" {
		return errors.New("GOCACHE must be set: the compiled standard library stays there")
	}
	tools := &toolchain{Cache: os.Getenv("GOCACHE"), ImportCfg: besideMe("importcfg"), Env: shapingVariables(os.Environ())}
	os.Unsetenv("GOCACHEPROG") // which reads what is only being made
	// -export compiles what is not there yet.
	format := "-f={{if .Export}}packagefile {{.ImportPath}}={{.Export}}{{end}}"
	archives, err := output("", "go", append([]string{"list", "-export", "-deps", format}, packages...)...)
	if err != nil {
		return err
	}
	if err := os.WriteFile(tools.ImportCfg, archives, 0o644); err != nil {
		return err
	}
	for _, line := range strings.Fields(strings.ReplaceAll(string(archives), "packagefile ", "")) {
		name, _, _ := strings.Cut(line, "=")
		if importable(name) {
			tools.Packages = append(tools.Packages, name)
		}
	}
	root, err := output("", "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	tools.Root = strings.TrimSpace(string(root))
	if err := tools.overhear(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(tools, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(besideMe(preparedFile), text, 0o644)
}

// importable: the go command lets a program import it, and there is nothing special about doing so.
func importable(name string) bool {
	for _, part := range strings.Split(name, "/") {
		if part == "internal" || part == "vendor" {
			return false
		}
	}
	return name != "embed" // its directives are the go command's work
}

// overhear has the go command build and run a program, and takes down what it calls.
func (t *toolchain) overhear() error {
	dir, err := os.MkdirTemp("", "goworker")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Print() }\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644); err != nil {
		return err
	}
	said, err := output(dir, "go", "run", "-x", "main.go")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(said)) {
		words := shellWords(strings.TrimSpace(line))
		switch {
		case strings.HasPrefix(line, "modinfo "):
			t.ModInfo = line
		case calls(words, "compile") && words[len(words)-1] == "./main.go":
			t.Compile = words
		case len(words) > 1 && calls(words[1:], "link"): // the first word sets GOROOT
			t.Link = words[1:]
		}
	}
	if t.ModInfo == "" || t.Compile == nil || t.Link == nil {
		return fmt.Errorf("go run -x did not say how it compiles and links:\n%s", said)
	}
	return nil
}

func calls(words []string, tool string) bool {
	return filepath.Base(words[0]) == tool && filepath.IsAbs(words[0])
}

// shellWords splits a line as the go command prints it: quoted in '…' or "…" where it must be.
func shellWords(line string) []string {
	words, word, quote := []string{}, new(strings.Builder), rune(0)
	for _, char := range line {
		switch {
		case char == quote:
			quote = 0
		case quote == 0 && (char == '\'' || char == '"'):
			quote = char
		case quote == 0 && char == ' ':
			words = append(words, word.String())
			word.Reset()
		default:
			word.WriteRune(char)
		}
	}
	return append(words, word.String())
}

// output runs a command in dir and returns what it wrote, standard error included.
func output(dir, name string, args ...string) ([]byte, error) {
	command := exec.Command(name, args...)
	command.Dir = dir
	said, err := command.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", command, err, bytes.TrimSpace(said))
	}
	return said, nil
}
