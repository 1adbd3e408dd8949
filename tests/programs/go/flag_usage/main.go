package main

import "flag"

func main() {
	flag.Int("count", 1, "how `many`")
	flag.Parse()
}
