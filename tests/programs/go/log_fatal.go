package main

import "log"

func main() {
	log.SetFlags(log.Lshortfile)
	log.SetPrefix("petri: ")
	log.Println("said")
	log.Fatalf("it did not work: %d", 42)
}
