package main

func main() {

}
