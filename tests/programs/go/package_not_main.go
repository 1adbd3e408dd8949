package other

import "fmt"

func main() { fmt.Println(1) }
