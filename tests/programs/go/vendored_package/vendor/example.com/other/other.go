package other

func F() { println("vendored") }
