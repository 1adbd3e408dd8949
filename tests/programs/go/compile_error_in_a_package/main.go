package main

import "example.com/app/shapes"

func main() {
	shapes.Area()
}
