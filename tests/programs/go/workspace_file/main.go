package main

func main() {
	println("in a workspace")
}
