package main

func main() {
//line generated.txt:100
	panic("elsewhere")
}
