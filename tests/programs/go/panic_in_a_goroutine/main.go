package main

func main() {
	go func() { panic("not in main") }()
	select {}
}
