package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	if len(os.Args) > 1 {
		panic("with GOTRACEBACK=crash this ends in SIGABRT")
	}
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_CORE, &limit)
	fmt.Printf("{\"attempt\": \"core limit\", \"result\": \"%d to %d\"}\n", limit.Cur, limit.Max)
	var last string
	for range 5 {
		crash := exec.Command("/proc/self/exe", "crash")
		crash.Env = []string{"GOTRACEBACK=crash"}
		if err := crash.Run(); err != nil {
			last = err.(*exec.ExitError).Sys().(syscall.WaitStatus).Signal().String()
		}
	}
	fmt.Printf("{\"attempt\": \"crash five times\", \"result\": \"%s\"}\n", last)
}
