package main

func inner(depth int) {
	if depth == 2 {
		panic("at the bottom")
	}
	inner(depth + 1)
}

func main() {
	inner(0)
}
