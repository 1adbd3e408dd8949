package main

func main() {
	values := []int{1, 2, 3}
	index := len(values) + 4
	println(values[index])
}
