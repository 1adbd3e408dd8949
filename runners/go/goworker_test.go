package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var tools = &toolchain{Packages: []string{"fmt", "net/http"}, Env: map[string]string{"GOPROXY": "off"}}

func TestOnlyAMainPackageOfStandardImportsIsPlain(t *testing.T) {
	for source, want := range map[string]bool{
		"package main\nimport \"fmt\"\nfunc main() {}":                                   true,
		"package main\nimport (\n. \"fmt\"\n_ \"net/http\"\n\"unsafe\")\nfunc main() {}": true,
		"package main\nfunc main() { this is for the compiler to refuse }":               true,
		"package other\nfunc main() {}":                                                  false,
		"package main\nimport \"C\"":                                                     false,
		"package main\nimport \"embed\"":                                                 false,
		"package main\nimport \"./util\"":                                                false,
		"package main\nimport \"example.com/x\"":                                         false,
		"package main\nimport \"internal/abi\"":                                          false,
		"package main\nimport \"fmt":                                                     false,
		"//go:build linux\n\npackage main":                                               false,
		"// +build linux\n\npackage main":                                                false,
		"//go:debug panicnil=1\npackage main":                                            false,
		"package main\n//go:embed x\nvar x string":                                       false,
		"": false,
	} {
		if got := tools.plainSource([]byte(source)); got != want {
			t.Errorf("plain is %v for %q", got, source)
		}
	}
}

func TestWhatLiesBesideTheProgramOrIsSetInTheEnvironmentLeavesItToTheGoCommand(t *testing.T) {
	work := t.TempDir()
	program := filepath.Join(work, "main.go")
	write(t, program, "package main\n")
	run := func() *goMessage {
		return &goMessage{Program: program, Cwd: work, Env: map[string]string{"HOME": filepath.Join(work, "home")}}
	}
	plain := func(run *goMessage, environ ...string) bool {
		return tools.plain(run, append(environ, "GOPROXY=off", "GOMAXPROCS=3", "PATH=/bin"))
	}
	if !plain(run()) {
		t.Fatal("a program alone is not plain")
	}
	if plain(run(), "GOFLAGS=-race") || plain(run(), "GODEBUG=x=1") || tools.plain(run(), nil) {
		t.Error("plain with variables that shape a build")
	}
	second := run()
	second.Args = []string{"other.go"}
	if plain(second) {
		t.Error("plain with a second source file")
	}
	elsewhere := run()
	elsewhere.Cwd = "/"
	if plain(elsewhere) {
		t.Error("plain from another directory")
	}
	for _, name := range []string{"go.mod", "go.work", "home/.config/go/env"} {
		write(t, filepath.Join(work, name), "")
		if plain(run()) {
			t.Errorf("plain beside %s", name)
		}
		os.Remove(filepath.Join(work, name))
	}
}

func TestCompilerOutputIsShownAsTheGoCommandShowsIt(t *testing.T) {
	said := "/home/me/app/main.go:3:2: undefined: x\n\t/home/me/app/main.go:1:1: other /home/me/lib/y.go\n/tmp/go-build1/b001/z"
	want := "./main.go:3:2: undefined: x\n\t./main.go:1:1: other ../lib/y.go\n$WORK/b001/z\n"
	if got := shortened(said, "/tmp/go-build1", "/home/me/app"); got != want {
		t.Errorf("got %q", got)
	}
}

func TestCommandLinesAreSplitAsTheyWereQuoted(t *testing.T) {
	got := shellWords(`GOROOT='/a b' /x/link -o $WORK/m -trimpath "$WORK=>"`)
	want := []string{"GOROOT=/a b", "/x/link", "-o", "$WORK/m", "-trimpath", "$WORK=>"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestTheCacheReadsTheImagesAndKeepsItsOwn(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	lower := t.TempDir()
	write(t, entryPath(lower, []byte{0xaa, 1}, "a"), "v1 aa01 bb02                    5           1700000000000000000\n")
	write(t, entryPath(lower, []byte{0xbb, 2}, "d"), "image")
	asked := `{"ID":1,"Command":"get","ActionID":"qgE="}
{"ID":2,"Command":"get","ActionID":"zAM="}
{"ID":3,"Command":"put","ActionID":"zAM=","OutputID":"3QQ=","BodySize":4}
"bWluZQ=="
{"ID":4,"Command":"put","ActionID":"7gU=","OutputID":"/wY="}
{"ID":5,"Command":"get","ActionID":"zAM="}
{"ID":6,"Command":"get","ActionID":"7gU="}
{"ID":7,"Command":"close"}
`
	var answered bytes.Buffer
	if err := serveCache(lower, strings.NewReader(asked), &answered); err != nil {
		t.Fatal(err)
	}
	answers := map[int64]cacheAnswer{}
	for decoder := json.NewDecoder(&answered); decoder.More(); {
		var answer cacheAnswer
		if err := decoder.Decode(&answer); err != nil {
			t.Fatal(err)
		}
		answers[answer.ID] = answer
	}
	if len(answers) != 8 || len(answers[0].KnownCommands) != 3 || !answers[2].Miss {
		t.Errorf("answers %+v", answers)
	}
	for id, want := range map[int64]string{1: "image", 3: "mine", 4: "", 5: "mine", 6: ""} {
		answer := answers[id]
		content, err := os.ReadFile(answer.DiskPath)
		if err != nil || string(content) != want || answer.Err != "" || id != 3 && id != 4 && answer.Size != int64(len(want)) {
			t.Errorf("answer %d: %+v with %q, %v", id, answer, content, err)
		}
	}
}

func TestACacheThatCannotWriteSaysSoAndGoesOn(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "main.go"))
	write(t, os.Getenv("TMPDIR"), "a file where the directory would be")
	var answered bytes.Buffer
	asked := `{"ID":1,"Command":"put","ActionID":"zAM=","OutputID":"3QQ="}` + "\n" + `{"ID":2,"Command":"get","ActionID":"zAM="}`
	if err := serveCache(t.TempDir(), strings.NewReader(asked), &answered); err != nil {
		t.Fatal(err)
	}
	if said := answered.String(); !strings.Contains(said, "not a directory") || !strings.Contains(said, `"Miss":true`) {
		t.Errorf("said %s", said)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}
