package selfcheck

import (
	"os"
	"strings"
	"syscall"
)

// network: interfaces by name, routes that lead anywhere but to oneself, and what a connection to the outside is told at
// once. The addresses are kept for documentation (RFC 5737, RFC 3849): nobody is called where the wall is missing.
func network(*question) (any, error) {
	interfaces, err := columns("/proc/net/dev", 2, 0)
	if err != nil {
		return nil, err
	}
	routes := []string{}
	for path, at := range map[string]struct{ skip, name int }{
		"/proc/net/route":      {1, 0},
		"/proc/net/ipv6_route": {0, 9},
	} {
		found, err := columns(path, at.skip, at.name)
		if err != nil && !isMissing(err) { // a kernel without IPv6
			return nil, err
		}
		for _, device := range found {
			if device != "lo" {
				routes = append(routes, device)
			}
		}
	}
	outside4 := &syscall.SockaddrInet4{Port: 80, Addr: [4]byte{192, 0, 2, 1}}
	outside6 := &syscall.SockaddrInet6{Port: 80, Addr: [16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: 1}}
	return map[string]any{
		"interfaces": interfaces,
		"routes":     routes,
		"connect": map[string]string{
			"tcp4": connect(syscall.AF_INET, syscall.SOCK_STREAM, outside4),
			"udp4": connect(syscall.AF_INET, syscall.SOCK_DGRAM, outside4),
			"tcp6": connect(syscall.AF_INET6, syscall.SOCK_STREAM, outside6),
			"udp6": connect(syscall.AF_INET6, syscall.SOCK_DGRAM, outside6),
		},
	}, nil
}

// columns is one column of a table in /proc, without its first lines.
func columns(path string, skip, column int) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := []string{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if skip--; skip < 0 && len(words) > column {
			found = append(found, strings.TrimSuffix(words[column], ":"))
		}
	}
	return found, nil
}

// connect does not wait: EINPROGRESS is a way out that exists.
func connect(family, kind int, to syscall.Sockaddr) string {
	fd, err := syscall.Socket(family, kind|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return outcome(err)
	}
	defer syscall.Close(fd)
	return outcome(syscall.Connect(fd, to))
}
