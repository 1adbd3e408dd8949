package main

import "time"

func main() {
	ready := make(chan bool)
	go func() { ready <- true; select {} }()
	<-ready
	time.Sleep(100 * time.Millisecond) // until it has come to rest
	panic("with everybody")
}
