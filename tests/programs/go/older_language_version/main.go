package main

func main() {
	var functions []func()
	for i := 0; i < 3; i++ {
		functions = append(functions, func() { println(i) })
	}
	for _, f := range functions {
		f()
	}
}
