package main

func main() {
	println("tagged")
}
