package main

// Compiling this takes gigabytes: a few lines that stand for a table of a thousand million entries.
var table = [1 << 30]int{1<<30 - 1: 1}

var once, twice = table, table

func main() { println(once[7] + twice[8]) }
