package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

type point struct {
	X int `json:"x"`
	Y int
}

func main() {
	text, err := json.Marshal(map[string]any{"b": []int{1}, "a": "ü", "t": time.Unix(0, 0).UTC()})
	fmt.Println(string(text), err)
	fmt.Println(regexp.MustCompile(`(\w+)@(\w+)`).FindAllString("ada@home bob@work", -1), strings.Fields(" a b "), strconv.Quote("x"))
	fmt.Printf("%x %s\n", sha256.Sum256([]byte("petri")), base64.StdEncoding.EncodeToString([]byte("petri")))
	template.Must(template.New("t").Parse("{{range .}}<{{.}}>{{end}}\n")).Execute(os.Stdout, []int{1, 2})
	fmt.Println(new(big.Int).Exp(big.NewInt(2), big.NewInt(100), nil), math.Pi, bytes.ToUpper([]byte("x")), utf8.RuneCountInString("ü"))
	fmt.Printf("%v %+v %#v %T %q %8.3f|%-5d|%x\n", point{1, 2}, point{1, 2}, point{1, 2}, point{}, "q", 1.5, 7, "hex")
	fmt.Println(reflect.TypeOf(point{}).Field(0).Tag, errors.Is(fmt.Errorf("w: %w", os.ErrExist), os.ErrExist))
	fmt.Println(rand.New(rand.NewPCG(1, 2)).IntN(1000), sort.SearchInts([]int{1, 3, 5}, 3))
	slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "time" {
			return slog.Attr{}
		}
		return a
	}})).Info("logged", "n", 1)
}
