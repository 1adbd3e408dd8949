package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"strings"
)

// manifest is worker.json: how this image runs its language.
type manifest struct {
	Language        string            `json:"language"`
	LanguageVersion string            `json:"language_version"`
	Command         []string          `json:"command"`
	Env             map[string]string `json:"env"`
	Zygote          bool              `json:"zygote"`
	BootEnv         []string          `json:"boot_env"`
}

func readManifest(file string) (*manifest, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	m := new(manifest)
	if err := json.Unmarshal(content, m); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

func (m *manifest) check() error {
	switch {
	case m.Language == "":
		return errors.New("language is missing")
	case m.LanguageVersion == "":
		return errors.New("language_version is missing")
	case len(m.Command) == 0 || !strings.HasPrefix(m.Command[0], "/"):
		return errors.New("command must be a list that begins with an absolute path")
	}
	for _, pattern := range m.BootEnv {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("boot_env: %q is not a pattern", pattern)
		}
	}
	return nil
}

// ownPrefix marks variables between the agent and its worker; no run inherits one.
const ownPrefix = "PETRI_"

// inherited is the sandbox's own environment, which every run's is based on.
func inherited(environ []string) map[string]string {
	base := make(map[string]string, len(environ))
	for _, variable := range environ {
		if name, value, ok := strings.Cut(variable, "="); ok && !strings.HasPrefix(name, ownPrefix) {
			base[name] = value
		}
	}
	return base
}

// merged is a run's environment.
func merged(base, run map[string]string) map[string]string {
	env := maps.Clone(base)
	maps.Copy(env, run)
	return env
}

func flattened(env map[string]string) []string {
	flat := make([]string, 0, len(env))
	for name, value := range env {
		flat = append(flat, name+"="+value)
	}
	return flat
}

// needsOwnWorker: the run changes a variable that this language reads when it starts, so that no worker which is
// already warm will do.
func (m *manifest) needsOwnWorker(base, run map[string]string) bool {
	for name, value := range run {
		if was, set := base[name]; set && was == value {
			continue
		}
		for _, pattern := range m.BootEnv {
			if match, _ := path.Match(pattern, name); match {
				return true
			}
		}
	}
	return false
}

// startEnv is what the worker's command is started with: the run's environment under the manifest's.
func (m *manifest) startEnv(env map[string]string, zygote bool) []string {
	start := make(map[string]string, len(env)+len(m.Env)+2)
	for name, value := range env {
		if !strings.HasPrefix(name, ownPrefix) {
			start[name] = value
		}
	}
	for name, ours := range m.Env {
		start[name] = combined(name, ours, start[name])
	}
	start["PETRI_WORKER_FD"] = "3"
	if zygote {
		start["PETRI_ZYGOTE"] = "1"
	}
	return flattened(start)
}

// combined lets a run's PYTHONPATH or NODE_OPTIONS take effect beside the manifest's own, which the worker needs
// to be loaded at all. Lists are joined, ours first; of anything else ours wins, and the go message brings the
// run's value.
func combined(name, ours, theirs string) string {
	switch {
	case theirs == "":
		return ours
	case strings.HasSuffix(name, "PATH"):
		return ours + ":" + theirs
	case strings.HasSuffix(name, "OPTIONS"), strings.HasSuffix(name, "FLAGS"):
		return ours + " " + theirs
	}
	return ours
}
