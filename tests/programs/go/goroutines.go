package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

func main() {
	var group sync.WaitGroup
	results := make([]int, 50)
	for i := range results {
		group.Go(func() { results[i] = i * i })
	}
	group.Wait()
	total := 0
	for _, result := range results {
		total += result
	}
	fmt.Println(total)
	done := make(chan string)
	go func() { time.Sleep(time.Millisecond); done <- "done" }()
	select {
	case word := <-done:
		fmt.Println(word)
	case <-time.After(5 * time.Second):
		fmt.Println("late")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	fmt.Println(ctx.Err(), context.Cause(ctx))
}
