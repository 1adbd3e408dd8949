package main

import (
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
)

func main() {
	environment := os.Environ()
	sort.Strings(environment)
	for _, variable := range environment {
		if !strings.HasPrefix(variable, "HOSTNAME=") {
			fmt.Println(variable)
		}
	}
	os.Setenv("ADDED", "1")
	out, err := exec.Command("sh", "-c", "echo $ADDED $GREETING").Output()
	fmt.Printf("%s %v\n", out, err)
}
