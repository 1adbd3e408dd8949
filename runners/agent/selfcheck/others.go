package selfcheck

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// firstProcess is what a guest can find out of the agent, which has its user id and speaks to the host.
func firstProcess(*question) (any, error) {
	fields, err := status("1")
	if err != nil {
		return nil, err
	}
	var mem syscall.Stat_t
	if err := syscall.Stat("/proc/1/mem", &mem); err != nil {
		return nil, err
	}
	opened := map[string]string{}
	for _, name := range []string{"mem", "environ", "maps", "fd", "cwd", "root", "exe", "stack"} {
		opened[name] = opening("/proc/1/" + name)
	}
	return map[string]any{"name": fields["Name"], "files_owner": mem.Uid, "open": opened}, nil
}

// opening is what an open is told.
func opening(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return outcome(err)
	}
	defer file.Close()
	return "ok"
}

func processes(*question) (any, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	found := []map[string]any{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		fields, err := status(entry.Name())
		if err != nil {
			continue // it has ended since
		}
		found = append(found, map[string]any{
			"pid": pid, "name": fields["Name"], "uid": strings.Fields(fields["Uid"] + " ?")[0],
		})
	}
	return found, nil
}

// ceilings are the cgroup's limits, in the words of the version that is mounted; those that cannot be seen are null.
func ceilings(*question) (any, error) {
	const root = "/sys/fs/cgroup/"
	swap, err := swapTotal()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(root + "cgroup.controllers"); err == nil {
		return map[string]any{
			"version": 2, "host_swap_kib": swap,
			"memory": word(root + "memory.max"), "swap": word(root + "memory.swap.max"), "pids": word(root + "pids.max"),
			"cpu": word(root + "cpu.max"),
		}, nil
	}
	return map[string]any{
		"version": 1, "host_swap_kib": swap,
		"memory": word(root + "memory/memory.limit_in_bytes"), "swap": word(root + "memory/memory.memsw.limit_in_bytes"),
		"pids": word(root + "pids/pids.max"),
		"cpu":  joined(word(root+"cpu/cpu.cfs_quota_us"), word(root+"cpu/cpu.cfs_period_us")),
	}, nil
}

func word(path string) *string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	found := strings.TrimSpace(string(text))
	return &found
}

// joined is version 1's quota as version 2 writes it.
func joined(quota, period *string) *string {
	if quota == nil || period == nil {
		return nil
	}
	found := *quota + " " + *period
	return &found
}

func swapTotal() (int, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "SwapTotal:"); ok {
			return strconv.Atoi(strings.Fields(value)[0])
		}
	}
	return 0, fmt.Errorf("/proc/meminfo has no SwapTotal")
}
