package main

import "fmt"

func main() {
	fmt.Println("grüße, Καλημέρα, こんにちは, 🧫, \u202eabc")
}
