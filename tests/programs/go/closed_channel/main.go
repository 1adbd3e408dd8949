package main

func main() {
	c := make(chan int)
	close(c)
	println(<-c)
	c <- 1
}
