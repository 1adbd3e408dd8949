package selfcheck

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// TestEveryProbeSaysSomething runs it where the test runs, which is no sandbox.
func TestEveryProbeSaysSomething(t *testing.T) {
	var out bytes.Buffer
	asked := `{"hidden": ["/proc/version"], "devices": ["/dev"], "sized": ["/tmp"], "fixed": ["/", "/nowhere"], "write": ["` +
		t.TempDir() + `"]}`
	if err := Run(strings.NewReader(asked), &out); err != nil {
		t.Fatal(err)
	}
	said := map[string]any{}
	for line := range strings.Lines(out.String()) {
		var one answer
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%q: %s", line, err)
		}
		if one.Error != "" || one.Observed == nil {
			t.Errorf("%s observed %v: %s", one.Probe, one.Observed, one.Error)
		}
		said[one.Probe] = one.Observed
	}
	if len(said) != len(probes) {
		t.Errorf("%d lines for %d probes", len(said), len(probes))
	}
	if found := said["hidden"]; !reflect.DeepEqual(found, []any{"/proc/version"}) {
		t.Errorf("hidden: %v, although /proc/version tells something", found)
	}
	if found := said["read-only"].(map[string]any)["/nowhere"]; found != "absent" {
		t.Errorf("/nowhere is %v", found)
	}
}

func TestAQuestionThatIsNoneIsRefused(t *testing.T) {
	for _, asked := range []string{"", "{", `{"hidden": 1}`} {
		var out bytes.Buffer
		if err := Run(strings.NewReader(asked), &out); err == nil || out.Len() > 0 {
			t.Errorf("%q: error %v, output %q", asked, err, out.String())
		}
	}
}

func TestAPlaceWhereAFileCanBeMadeIsWritableAndLeftClean(t *testing.T) {
	open, shut := t.TempDir(), filepath.Join(t.TempDir(), "not-there")
	found, err := writable(&question{Write: []string{open, shut}})
	if err != nil {
		t.Fatal(err)
	}
	paths := strings.Join(found.([]string), "\n") + "\n"
	if !strings.Contains(paths, open+"\n") || strings.Contains(paths, shut+"\n") {
		t.Errorf("writable: %q", paths)
	}
	if left, _ := os.ReadDir(open); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWhatTells(t *testing.T) {
	directory := t.TempDir()
	empty, full := filepath.Join(directory, "empty"), filepath.Join(directory, "full")
	hollow, pipe := filepath.Join(directory, "hollow"), filepath.Join(directory, "pipe")
	for path, content := range map[string]string{empty: "", full: "x"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(hollow, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		empty: false, hollow: false, "/dev/null": false, filepath.Join(directory, "none"): false,
		full: true, directory: true,
		pipe: true, // and it is not waited for
	} {
		if got := tells(path); got != want {
			t.Errorf("%s tells: %v", path, got)
		}
	}
}

func TestPathsInTheMountTableAreUnescaped(t *testing.T) {
	if got := unescaped(`/a\040b\134c\011d`); got != "/a b\\c\td" {
		t.Errorf("%q", got)
	}
}
