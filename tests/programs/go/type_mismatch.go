package main

func main() {
	var n int = "text"
	return 1
}
