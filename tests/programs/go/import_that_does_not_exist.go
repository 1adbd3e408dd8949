package main

import "no/such/package"

func main() {
	nope.F()
}
