package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	protocolVersion = 1
	agentVersion    = "0.1.0"

	// maxFilesBytes: the files of one EXEC are held in the sandbox's memory-backed work directory.
	maxFilesBytes = 64 << 20
	// maxTimeout is a week: far above any run that is meant, and far below what would overflow a clock.
	maxTimeout = 7 * 24 * time.Hour
	// maxMessage keeps an ERROR within what the host accepts (4096 characters).
	maxMessage = 4000
)

// refusal is an ERROR frame to be: one of PROTOCOL.md's codes and a sentence with the numbers in it.
type refusal struct{ code, message string }

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refuse(code, format string, values ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, values...)}
}

func (r *refusal) encode() []byte {
	message := strings.ToValidUTF8(r.message, "\uFFFD")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") // a rune may have been cut
	}
	return encode(map[string]string{"code": r.code, "message": message})
}

// encode cannot fail: everything that is sent is made of strings, numbers and booleans.
func encode(message any) []byte {
	encoded, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	return encoded
}

type helloMessage struct {
	Protocol        int    `json:"protocol"`
	Agent           string `json:"agent"`
	Language        string `json:"language"`
	LanguageVersion string `json:"language_version"`
}

type exitMessage struct {
	ExitCode        *int  `json:"exit_code"`
	Signal          *int  `json:"signal"`
	TimedOut        bool  `json:"timed_out"`
	OutputLimit     bool  `json:"output_limit"`
	StdoutTruncated bool  `json:"stdout_truncated"`
	StderrTruncated bool  `json:"stderr_truncated"`
	DurationUS      int64 `json:"duration_us"`
	CPUUS           int64 `json:"cpu_us"`
	MaxRSSKiB       int64 `json:"max_rss_kib"`
}

// goMessage is what turns a waiting worker into a program.
type goMessage struct {
	Program string            `json:"program"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
	Cwd     string            `json:"cwd"`
}

type fileOrder struct {
	Path string  `json:"path"`
	Size *int64  `json:"size"`
	Mode *uint32 `json:"mode"`
}

// execOrder is the payload of an EXEC.
type execOrder struct {
	Program     *string           `json:"program"`
	Argv        *[]string         `json:"argv"`
	Files       []fileOrder       `json:"files"`
	Args        []string          `json:"args"`
	Env         map[string]string `json:"env"`
	Cwd         string            `json:"cwd"`
	TimeoutMS   *int64            `json:"timeout_ms"`
	StreamLimit *int64            `json:"stream_limit"`
	OutputLimit *int64            `json:"output_limit"`
	Last        bool              `json:"last"`
}

// decodeExec is the order in payload, complete and of the right form, with its paths made plain.
func decodeExec(payload []byte) (*execOrder, *refusal) {
	order := new(execOrder)
	if refused := decodeInto(payload, order); refused != nil {
		return nil, refused
	}
	for _, check := range []func() *refusal{order.checkCommand, order.checkFiles, order.checkEnvironment, order.checkLimits} {
		if refused := check(); refused != nil {
			return nil, refused
		}
	}
	return order, nil
}

func (o *execOrder) checkCommand() *refusal {
	if (o.Program == nil) == (o.Argv == nil) {
		return refuse("bad_request", "exactly one of program and argv must be given")
	}
	if o.Argv != nil && len(*o.Argv) == 0 {
		return refuse("bad_request", "argv is empty")
	}
	if o.Argv != nil {
		*o.Argv = append(*o.Argv, o.Args...)
		if hasNUL(*o.Argv...) {
			return refuse("bad_request", "argv contains a NUL byte")
		}
	}
	if hasNUL(o.Args...) {
		return refuse("bad_request", "args contains a NUL byte")
	}
	var refused *refusal
	if o.Cwd, refused = plainPath(o.Cwd); refused != nil {
		return refuse(refused.code, "cwd: %s", refused.message)
	}
	if o.Program == nil {
		return nil
	}
	if *o.Program, refused = plainFilePath(*o.Program); refused != nil {
		return refuse(refused.code, "program: %s", refused.message)
	}
	return nil
}

func (o *execOrder) checkFiles() *refusal {
	var total int64
	for i := range o.Files {
		file := &o.Files[i]
		var refused *refusal
		if file.Path, refused = plainFilePath(file.Path); refused != nil {
			return refuse(refused.code, "files[%d]: %s", i, refused.message)
		}
		if refused := checkSizeAndMode(file.Size, file.Mode); refused != nil {
			return refuse(refused.code, "files[%d] %s: %s", i, file.Path, refused.message)
		}
		if total += min(*file.Size, maxFilesBytes+1); total > maxFilesBytes {
			return refuse("too_large", "files: more than %d bytes are declared", maxFilesBytes)
		}
	}
	return nil
}

func (o *execOrder) checkEnvironment() *refusal {
	for name, value := range o.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || hasNUL(value) {
			return refuse("bad_request", "env: %q=%q cannot be an environment variable", name, value)
		}
	}
	return nil
}

func (o *execOrder) checkLimits() *refusal {
	for _, limit := range []struct {
		name        string
		value       *int64
		least, most int64
	}{
		{"timeout_ms", o.TimeoutMS, 1, maxTimeout.Milliseconds()},
		{"stream_limit", o.StreamLimit, 0, 1 << 53},
		{"output_limit", o.OutputLimit, 0, 1 << 53},
	} {
		if limit.value == nil {
			return refuse("bad_request", "%s is missing", limit.name)
		}
		if *limit.value < limit.least || *limit.value > limit.most {
			return refuse("bad_request", "%s is %d, allowed is %d to %d", limit.name, *limit.value, limit.least, limit.most)
		}
	}
	return nil
}

func decodeInto(payload []byte, message any) *refusal {
	if !utf8.Valid(payload) {
		return refuse("bad_request", "the payload is not UTF-8")
	}
	if err := json.Unmarshal(payload, message); err != nil {
		return refuse("bad_request", "%s", err)
	}
	return nil
}

func checkSizeAndMode(size *int64, mode *uint32) *refusal {
	if size == nil {
		return refuse("bad_request", "size is missing")
	}
	if *size < 0 {
		return refuse("bad_request", "size is %d", *size)
	}
	if mode != nil && *mode > 0o777 {
		return refuse("bad_request", "mode is %#o, allowed is 0 to 0777", *mode)
	}
	return nil
}

func decodeSignal(payload []byte) (syscall.Signal, *refusal) {
	var order struct {
		Signal *int `json:"signal"`
	}
	if refused := decodeInto(payload, &order); refused != nil {
		return 0, refused
	}
	if order.Signal == nil || *order.Signal < 1 || *order.Signal > 64 {
		return 0, refuse("bad_request", "signal must be a number from 1 to 64")
	}
	return syscall.Signal(*order.Signal), nil
}

func hasNUL(values ...string) bool {
	for _, value := range values {
		if strings.IndexByte(value, 0) >= 0 {
			return true
		}
	}
	return false
}
