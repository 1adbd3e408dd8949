package main

type node struct{ value int }

func main() {
	var n *node
	println(n.value)
}
