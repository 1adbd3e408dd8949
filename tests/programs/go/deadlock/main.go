package main

func main() {
	println("about to wait")
	<-make(chan int)
}
