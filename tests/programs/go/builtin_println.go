package main

func main() {
	println("to stderr", 1, true)
}
