package selfcheck

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// status is /proc/PID/status by name.
func status(pid string) (map[string]string, error) {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields, nil
}

// ownStatus are fields of this process's. A kernel that is not Linux's own may lack one.
func ownStatus(wanted ...string) (map[string]string, error) {
	all, err := status("self")
	if err != nil {
		return nil, err
	}
	found := make(map[string]string, len(wanted))
	for _, name := range wanted {
		if value, ok := all[name]; ok {
			found[name] = value
		}
	}
	return found, nil
}

func identity(*question) (any, error) {
	fields, err := ownStatus("Uid", "Gid")
	if err != nil {
		return nil, err
	}
	groups, err := syscall.Getgroups()
	if err != nil {
		return nil, fmt.Errorf("getgroups: %w", err)
	}
	if groups == nil {
		groups = []int{}
	}
	return map[string]any{
		"uids": strings.Fields(fields["Uid"]), // real, effective, saved, of file systems
		"gids": strings.Fields(fields["Gid"]), "groups": groups,
	}, nil
}

func capabilities(*question) (any, error) {
	return ownStatus("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
}

// confinement is what a process carries that takes rights away: it is inherited, and cannot be put off.
func confinement(*question) (any, error) {
	fields, err := ownStatus("NoNewPrivs", "Seccomp")
	if err != nil {
		return nil, err
	}
	label, err := os.ReadFile("/proc/self/attr/current")
	profile := strings.TrimRight(string(label), "\n\x00")
	if err != nil {
		profile = "" // no security module that labels processes
	}
	return map[string]any{
		"no_new_privileges": fields["NoNewPrivs"], "seccomp_mode": fields["Seccomp"], "security_label": profile,
	}, nil
}

// namespaces are the kernel's numbers for those that this process is in: equal numbers, the same namespace.
func namespaces(*question) (any, error) {
	found := map[string]string{}
	for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"} {
		number, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			return nil, err
		}
		found[kind] = number
	}
	return found, nil
}

// environment is by name only: a value that should not be here should not be in a report either.
func environment(*question) (any, error) {
	found := []string{}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		found = append(found, name)
	}
	return found, nil
}

func names(*question) (any, error) {
	var name syscall.Utsname
	if err := syscall.Uname(&name); err != nil {
		return nil, err
	}
	resolvers := []string{}
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !isMissing(err) {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "nameserver" {
			resolvers = append(resolvers, words[1])
		}
	}
	return map[string]any{"host": cString(name.Nodename[:]), "domain": cString(name.Domainname[:]), "resolvers": resolvers}, nil
}

func cString[T int8 | uint8](text []T) string {
	var found strings.Builder
	for _, letter := range text {
		if letter == 0 {
			break
		}
		found.WriteByte(byte(letter))
	}
	return found.String()
}

// Limits that the syscall package has no name for; the same numbers on every architecture that Petri runs on.
const (
	rlimitNproc      = 6
	rlimitMemlock    = 8
	rlimitSigpending = 11
	rlimitMsgqueue   = 12
)

func limits(*question) (any, error) {
	found := map[string][2]uint64{}
	for name, number := range map[string]int{
		"core": syscall.RLIMIT_CORE, "nofile": syscall.RLIMIT_NOFILE,
		"nproc": rlimitNproc, "memlock": rlimitMemlock, "sigpending": rlimitSigpending, "msgqueue": rlimitMsgqueue,
	} {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(number, &limit); err != nil {
			return nil, fmt.Errorf("getrlimit(%s): %w", name, err)
		}
		found[name] = [2]uint64{limit.Cur, limit.Max}
	}
	return found, nil
}
