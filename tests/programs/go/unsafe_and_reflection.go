package main

import (
	"fmt"
	"reflect"
	"unsafe"
)

func main() {
	value := [4]byte{1, 2, 3, 4}
	fmt.Println(*(*uint32)(unsafe.Pointer(&value)), unsafe.Sizeof(value), reflect.ValueOf(value).Index(1))
}
