package selfcheck

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Flags of statfs(2).
const (
	stReadOnly = 1
	stNoSuid   = 2
	stNoDev    = 4
	stNoExec   = 8
)

type mounted struct {
	Path     string `json:"path"`
	Kind     string `json:"kind"`
	ReadOnly bool   `json:"read_only"`
	Null     bool   `json:"null"` // the null device, which is how files are hidden
}

// mountTable is /proc/self/mountinfo; see proc_pid_mountinfo(5).
func mountTable() ([]mounted, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	table := []mounted{}
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(line, " - ")
		own, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(own) < 6 || len(kind) < 1 {
			return nil, fmt.Errorf("/proc/self/mountinfo has a line of another form: %q", line)
		}
		options := strings.Split(own[5], ",")
		table = append(table, mounted{
			Path: unescaped(own[4]), Kind: kind[0], ReadOnly: slices.Contains(options, "ro"), Null: own[3] == "/null",
		})
	}
	return table, nil
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func unescaped(path string) string { return unescape.Replace(path) }

func mounts(*question) (any, error) { return mountTable() }

// readOnly is by path: whether its file system is, or "absent", or what the kernel said instead.
func readOnly(asked *question) (any, error) {
	found := map[string]string{}
	for _, path := range asked.Fixed {
		var stat syscall.Statfs_t
		switch err := syscall.Statfs(path, &stat); {
		case isMissing(err):
			found[path] = "absent"
		case err != nil:
			found[path] = outcome(err)
		case stat.Flags&stReadOnly != 0:
			found[path] = "read-only"
		default:
			found[path] = "writable"
		}
	}
	return found, nil
}

// writable are the directories, of those asked for and those that something is mounted at, in which a file can be made.
func writable(asked *question) (any, error) {
	table, err := mountTable()
	if err != nil {
		return nil, err
	}
	directories := slices.Clone(asked.Write)
	for _, one := range table {
		directories = append(directories, one.Path)
	}
	slices.Sort(directories)
	found := []string{}
	for _, directory := range slices.Compact(directories) {
		name := filepath.Join(directory, ".selfcheck")
		fd, err := syscall.Open(name, syscall.O_CREAT|syscall.O_EXCL|syscall.O_WRONLY|syscall.O_CLOEXEC, 0o600)
		if err != nil {
			continue
		}
		syscall.Close(fd)
		if err := syscall.Unlink(name); err != nil {
			return nil, err
		}
		found = append(found, directory)
	}
	return found, nil
}

// fileSystems are the sizes and the flags of those that are asked for.
func fileSystems(asked *question) (any, error) {
	found := map[string]any{}
	for _, path := range asked.Sized {
		var stat syscall.Statfs_t
		if err := syscall.Statfs(path, &stat); err != nil {
			return nil, fmt.Errorf("statfs(%s): %w", path, err)
		}
		var top syscall.Stat_t
		if err := syscall.Stat(path, &top); err != nil {
			return nil, fmt.Errorf("stat(%s): %w", path, err)
		}
		found[path] = map[string]any{
			"bytes": uint64(stat.Blocks) * uint64(stat.Bsize), "files": stat.Files,
			"nosuid": stat.Flags&stNoSuid != 0, "nodev": stat.Flags&stNoDev != 0, "noexec": stat.Flags&stNoExec != 0,
			"owner": top.Uid,
		}
	}
	return found, nil
}

// hidden are those paths that tell something all the same.
func hidden(asked *question) (any, error) {
	found := []string{}
	for _, path := range asked.Hidden {
		if tells(path) {
			found = append(found, path)
		}
	}
	return found, nil
}

func tells(path string) bool {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe is not waited for
	if err != nil {
		return false // not there, or not for us
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return true
	}
	if about.IsDir() {
		entries, _ := file.Readdirnames(1)
		return len(entries) > 0
	}
	if about.Mode()&fs.ModeNamedPipe != 0 {
		return true
	}
	n, _ := file.Read(make([]byte, 1))
	return n > 0
}

// devices are the device files below the directories, but for terminals, which are numbered.
func devices(asked *question) (any, error) {
	found := []string{}
	for _, directory := range asked.Devices {
		err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return nil // not for us to read
			}
			if entry.Type()&fs.ModeDevice != 0 {
				found = append(found, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// sockets are those of the paths at which anything is.
func sockets(asked *question) (any, error) {
	found := []string{}
	for _, path := range asked.Sockets {
		if _, err := os.Lstat(path); !isMissing(err) {
			found = append(found, path)
		}
	}
	return found, nil
}
