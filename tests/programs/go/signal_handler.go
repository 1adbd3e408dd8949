package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, os.Interrupt)
	for _, number := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGINT} {
		syscall.Kill(os.Getpid(), number)
		fmt.Println(<-signals)
	}
	fmt.Println(signal.Ignored(syscall.SIGHUP), signal.Ignored(syscall.SIGINT))
}
