package main

import "sync"

func main() {
	var group sync.WaitGroup
	group.Add(1)
	go func() { select {} }()
	group.Wait()
}
