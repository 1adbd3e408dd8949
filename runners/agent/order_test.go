package main

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const goodLimits = `"timeout_ms": 1000, "stream_limit": 10, "output_limit": 20`

func TestAnOrderOfTheWrongFormIsRefusedWithItsNumbers(t *testing.T) {
	for payload, want := range map[string]string{
		`[]`:                   "bad_request: json",
		`{`:                    "bad_request: ",
		"{\"\xff\": 1}":        "bad_request: the payload is not UTF-8",
		`{` + goodLimits + `}`: "bad_request: exactly one of program and argv",
		`{"program": "a", "argv": ["b"], ` + goodLimits + `}`:      "bad_request: exactly one of program and argv",
		`{"argv": [], ` + goodLimits + `}`:                         "bad_request: argv is empty",
		`{"argv": ["a\u0000"], ` + goodLimits + `}`:                "bad_request: argv contains a NUL byte",
		`{"program": "a", "args": ["\u0000"], ` + goodLimits + `}`: "bad_request: args contains a NUL byte",
		`{"program": "a"}`: "bad_request: timeout_ms is missing",
		`{"program": "a", "timeout_ms": 1, "output_limit": 1}`:                                                       "bad_request: stream_limit is missing",
		`{"program": "a", "timeout_ms": 0, "stream_limit": 1, "output_limit": 1}`:                                    "bad_request: timeout_ms is 0, allowed is 1 to 604800000",
		`{"program": "a", "timeout_ms": 1, "stream_limit": -1, "output_limit": 1}`:                                   "bad_request: stream_limit is -1",
		`{"program": "a", "timeout_ms": 1.5, "stream_limit": 1, "output_limit": 1}`:                                  "bad_request: json",
		`{"program": "/a", ` + goodLimits + `}`:                                                                      "bad_path: program: \"/a\" is absolute",
		`{"program": "a", "cwd": "../b", ` + goodLimits + `}`:                                                        "bad_path: cwd: \"../b\" leaves",
		`{"program": "a", "files": [{"path": "a"}], ` + goodLimits + `}`:                                             "bad_request: files[0] a: size is missing",
		`{"program": "a", "files": [{"path": "a", "size": -1}], ` + goodLimits + `}`:                                 "bad_request: files[0] a: size is -1",
		`{"program": "a", "files": [{"path": "", "size": 1}], ` + goodLimits + `}`:                                   "bad_path: files[0]:",
		`{"program": "a", "files": [{"path": "a", "size": 1, "mode": 4095}], ` + goodLimits + `}`:                    "bad_request: files[0] a: mode is 07777",
		`{"program": "a", "files": [{"path": "a", "size": 67108865}], ` + goodLimits + `}`:                           "too_large: files: more than 67108864 bytes",
		`{"program": "a", "files": [{"path": "a", "size": 67108864}, {"path": "b", "size": 1}], ` + goodLimits + `}`: "too_large",
		`{"program": "a", "env": {"": "x"}, ` + goodLimits + `}`:                                                     "bad_request: env: \"\"",
		`{"program": "a", "env": {"A=B": "x"}, ` + goodLimits + `}`:                                                  "bad_request: env: \"A=B\"",
		`{"program": "a", "env": {"A": "\u0000"}, ` + goodLimits + `}`:                                               "bad_request: env: \"A\"",
		`{"program": "a", "env": {"A": 1}, ` + goodLimits + `}`:                                                      "bad_request: json",
	} {
		if _, refused := decodeExec([]byte(payload)); refused == nil || !strings.HasPrefix(refused.Error(), want) {
			t.Errorf("%s: %v, want %s", payload, refused, want)
		}
	}
}

func TestUnknownKeysOfAnOrderAreAdditions(t *testing.T) {
	order, refused := decodeExec([]byte(`{"program": "./a", "news": {"x": 1}, ` + goodLimits + `}`))
	if refused != nil || *order.Program != "a" || order.Last {
		t.Fatal(order, refused)
	}
}

func TestALongMessageFitsWhatTheHostAccepts(t *testing.T) {
	encoded := refuse("io_error", "%s", strings.Repeat("ä\xff", 5000)).encode()
	var decoded struct{ Message string }
	if err := json.Unmarshal(encoded, &decoded); err != nil || len(decoded.Message) > maxMessage || len(decoded.Message) < maxMessage-10 {
		t.Fatal(err, len(decoded.Message))
	}
}

func TestASignalIsANumberFrom1To64(t *testing.T) {
	if signal, refused := decodeSignal([]byte(`{"signal": 15}`)); refused != nil || signal != syscall.SIGTERM {
		t.Fatal(signal, refused)
	}
	for _, payload := range []string{`{}`, `{"signal": 0}`, `{"signal": 65}`, `{"signal": "TERM"}`, ``} {
		if _, refused := decodeSignal([]byte(payload)); refused == nil {
			t.Errorf("%s is accepted", payload)
		}
	}
}

func TestAManifestOfTheWrongFormIsNotUsed(t *testing.T) {
	for content, want := range map[string]string{
		`{`: "JSON",
		`{"language_version": "1", "command": ["/x"]}`:                                     "language is missing",
		`{"language": "x", "command": ["/x"]}`:                                             "language_version is missing",
		`{"language": "x", "language_version": "1", "command": []}`:                        "command must be",
		`{"language": "x", "language_version": "1", "command": ["x"]}`:                     "command must be",
		`{"language": "x", "language_version": "1", "command": ["/x"], "boot_env": ["["]}`: "is not a pattern",
	} {
		file := t.TempDir() + "/worker.json"
		must(t, os.WriteFile(file, []byte(content), 0o644))
		if _, err := readManifest(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", content, err, want)
		}
	}
}

func TestARunNeedsItsOwnWorkerOnlyWhenItChangesWhatAStartReads(t *testing.T) {
	m := &manifest{BootEnv: []string{"PYTHON*", "TZ"}}
	base := map[string]string{"TZ": "UTC", "HOME": "/workspace"}
	for _, check := range []struct {
		run  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"K": "V"}, false},
		{map[string]string{"TZ": "UTC"}, false},
		{map[string]string{"TZ": "CET"}, true},
		{map[string]string{"TZX": "CET"}, false},
		{map[string]string{"PYTHONHASHSEED": "0"}, true},
		{map[string]string{"K": "V", "PYTHON": ""}, true},
	} {
		if got := m.needsOwnWorker(base, check.run); got != check.want {
			t.Errorf("%v: %v", check.run, got)
		}
	}
}

func TestAWorkerStartsWithTheManifestsEnvironmentOverTheRuns(t *testing.T) {
	m := &manifest{Env: map[string]string{"PYTHONPATH": "/opt", "NODE_OPTIONS": "--require w", "ONLY": "ours", "TZ": "ours"}}
	base := inherited([]string{"HOME=/workspace", "PETRI_SECRET=1", "EMPTY=", "odd"})
	run := map[string]string{"PYTHONPATH": "/workspace/lib", "NODE_OPTIONS": "--trace-gc", "TZ": "theirs", "PETRI_ZYGOTE": "1"}
	got := m.startEnv(merged(base, run), false)
	slices.Sort(got)
	want := []string{
		"EMPTY=", "HOME=/workspace", "NODE_OPTIONS=--require w --trace-gc", "ONLY=ours", "PETRI_WORKER_FD=3",
		"PYTHONPATH=/opt:/workspace/lib", "TZ=ours",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if !slices.Contains(m.startEnv(base, true), "PETRI_ZYGOTE=1") {
		t.Error("a zygote is not told that it is one")
	}
}

func TestACommandIsFoundAsAShellFindsIt(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/bin/folder", 0o755))
	must(t, os.WriteFile(dir+"/bin/tool", nil, 0o755))
	must(t, os.WriteFile(dir+"/plain", nil, 0o644))
	must(t, os.WriteFile(dir+"/here", nil, 0o755))
	absolute := []string{"PATH=/nowhere:" + dir + "/bin"}
	for _, check := range []struct {
		name string
		env  []string
		path string
		why  *notStarted
	}{
		{"tool", absolute, dir + "/bin/tool", nil},
		{"tool", []string{"PATH=/nowhere", "PATH=" + dir + "/bin"}, dir + "/bin/tool", nil},
		{"tool", []string{"PATH=bin"}, "bin/tool", nil},
		{"here", []string{"PATH=:/nowhere"}, "./here", nil},
		{"./here", absolute, "./here", nil},
		{dir + "/here", absolute, dir + "/here", nil},
		{"sh", nil, "/bin/sh", nil},
		{"nosuch", absolute, "", notFound},
		{"", absolute, "", notFound},
		{"folder", absolute, "", notFound},
		{"./nosuch", absolute, "./nosuch", notFound},
		{"./plain", absolute, "./plain", notPermitted},
		{"plain", []string{"PATH=."}, "", notPermitted},
		{"./bin", absolute, "./bin", isADirectory},
	} {
		if path, why := findCommand(check.name, dir, check.env); path != check.path || why != check.why {
			t.Errorf("%q in %q: %q, %v", check.name, check.env, path, why)
		}
	}
}

func TestARunCannotGoBack(t *testing.T) {
	for from := range maps.Keys(nextPhase) {
		for _, to := range nextPhase[from] {
			if to <= from && !(from == running && to == waiting) { // a worker that died before it began
				t.Errorf("phase %d may go back to %d", from, to)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a run that is over was started again")
		}
	}()
	(&run{phase: over}).become(running)
}

func TestAProcessWhoseFirstThreadAloneHasEndedIsNotDead(t *testing.T) {
	for _, check := range []struct {
		who  relative
		dead bool
	}{
		{relative{state: 'R', threads: 1}, false}, {relative{state: 'D', threads: 1}, false}, {relative{state: 'T', threads: 3}, false},
		{relative{state: 'Z', threads: 1}, true}, {relative{state: 'Z', threads: 2}, false}, {relative{state: 'X', threads: 0}, true},
	} {
		if check.who.dead() != check.dead {
			t.Errorf("%+v", check.who)
		}
	}
}
