package main

import (
	"fmt"
	"os"
	"os/exec"
)

func main() {
	out, err := exec.Command("sh", "-c", "echo hello; exit 3").CombinedOutput()
	fmt.Printf("%q %v\n", out, err)
	command := exec.Command("cat")
	command.Stdin, command.Stdout = os.Stdin, os.Stdout
	fmt.Println(command.Run())
	fmt.Println(exec.Command("no-such-command").Run())
}
