package main

import (
	"fmt"
	"iter"
	"slices"
)

type number interface{ ~int | ~float64 }

type pair[K comparable, V any] struct {
	Key   K
	Value V
}

func sum[T number](values []T) (total T) {
	for _, value := range values {
		total += value
	}
	return
}

func evens(limit int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i < limit; i += 2 {
			if !yield(i) {
				return
			}
		}
	}
}

func main() {
	fmt.Println(sum([]int{1, 2}), sum([]float64{.5, 1}), slices.Collect(evens(9)), min(3, 1))
	fmt.Printf("%T %v\n", pair[string, int]{"a", 1}, pair[string, int]{"a", 1})
}
