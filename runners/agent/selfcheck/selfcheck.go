// Package selfcheck looks at a sandbox's walls from inside, and tells what it saw. `agent selfcheck` is the program.
//
// It judges nothing: what ought to be seen depends on the template, which only the host knows. It is an ordinary run, with
// no right that a guest does not have.
package selfcheck

import (
	"encoding/json"
	"fmt"
	"io"
)

// question is what the host says on standard input: where to look, never what is to be found there.
type question struct {
	Hidden  []string `json:"hidden"`  // paths that ought to tell nothing
	Devices []string `json:"devices"` // directories of device files
	Sockets []string `json:"sockets"` // where services of a host listen
	Write   []string `json:"write"`   // directories to try to make a file in, besides every mount
	Sized   []string `json:"sized"`   // file systems to measure
	Fixed   []string `json:"fixed"`   // paths whose file system ought to be read-only
}

// answer is one line of standard output.
type answer struct {
	Probe    string `json:"probe"`
	Observed any    `json:"observed,omitempty"`
	Error    string `json:"error,omitempty"` // why there is nothing observed
}

type probe struct {
	name string
	look func(*question) (any, error)
}

var probes = []probe{
	{"identity", identity},
	{"capabilities", capabilities},
	{"confinement", confinement},
	{"namespaces", namespaces},
	{"system-calls", systemCalls},
	{"network", network},
	{"mounts", mounts},
	{"read-only", readOnly},
	{"writable", writable},
	{"file-systems", fileSystems},
	{"hidden", hidden},
	{"devices", devices},
	{"sockets", sockets},
	{"environment", environment},
	{"names", names},
	{"first-process", firstProcess},
	{"processes", processes},
	{"limits", limits},
	{"ceilings", ceilings},
}

// Run answers the question on in with a line of JSON for each probe on out.
func Run(in io.Reader, out io.Writer) error {
	var asked question
	if err := json.NewDecoder(in).Decode(&asked); err != nil {
		return fmt.Errorf("the question on standard input: %w", err)
	}
	lines := json.NewEncoder(out)
	for _, one := range probes {
		said := answer{Probe: one.name}
		var err error
		if said.Observed, err = one.look(&asked); err != nil {
			said.Observed, said.Error = nil, err.Error()
		}
		if err = lines.Encode(said); err != nil {
			return err
		}
	}
	return nil
}
