package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

func report(attempt, result string) {
	fmt.Printf("{\"attempt\": \"%s\", \"result\": \"%s\"}\n", attempt, result)
}

func reach(name, network, address string) {
	_, err := net.DialTimeout(network, address, 500*time.Millisecond)
	for result, number := range map[string]syscall.Errno{"ENETUNREACH": syscall.ENETUNREACH, "ENOENT": syscall.ENOENT} {
		if errors.Is(err, number) {
			report(name, result)
			return
		}
	}
	report(name, fmt.Sprint(err))
}

func main() {
	reach("the internet", "tcp", "1.1.1.1:443")
	reach("metadata of a cloud", "tcp", "169.254.169.254:80")
	reach("socket docker.sock", "unix", "/var/run/docker.sock")
	within, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	var failed *net.DNSError
	if _, err := net.DefaultResolver.LookupHost(within, "example.com"); errors.As(err, &failed) {
		report("a name", "no answer")
	}
}
