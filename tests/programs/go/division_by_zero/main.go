package main

func main() {
	zero := 0
	println(1 / zero)
}
