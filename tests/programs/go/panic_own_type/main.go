package main

type broken struct{ code int }

func main() {
	panic(broken{code: 7})
}
