package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// serveCache is a GOCACHEPROG (go help cache): it reads the image's cache, which is read-only, and writes to a directory of
// the sandbox. With the image's alone as GOCACHE, the go command refuses programs whose directory it would index.
func serveCache(lower string, in io.Reader, out io.Writer) error {
	cache := buildCache{upper: filepath.Join(os.TempDir(), "go-build-cache"), lower: lower}
	requests, answers := json.NewDecoder(bufio.NewReaderSize(in, 1<<16)), json.NewEncoder(out)
	if err := answers.Encode(cacheAnswer{KnownCommands: []string{"get", "put", "close"}}); err != nil {
		return err
	}
	for {
		var request cacheRequest
		if err := requests.Decode(&request); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		answer := cacheAnswer{}
		switch request.Command {
		case "get":
			answer = cache.get(request.ActionID)
		case "put":
			var body []byte
			if request.BodySize > 0 {
				if err := requests.Decode(&body); err != nil {
					return err
				}
			}
			if err := cache.put(request.ActionID, request.OutputID, body, &answer); err != nil {
				answer.Err = err.Error()
			}
		}
		answer.ID = request.ID
		if err := answers.Encode(answer); err != nil || request.Command == "close" {
			return err
		}
	}
}

// cacheRequest and cacheAnswer are one line of JSON each. A put's body follows it as a string on the next.
type cacheRequest struct {
	ID                 int64
	Command            string
	ActionID, OutputID []byte
	BodySize           int64
}

type cacheAnswer struct {
	ID            int64
	Err           string     `json:",omitempty"`
	KnownCommands []string   `json:",omitempty"`
	Miss          bool       `json:",omitempty"`
	OutputID      []byte     `json:",omitempty"`
	Size          int64      `json:",omitempty"`
	Time          *time.Time `json:",omitempty"`
	DiskPath      string     `json:",omitempty"`
}

// buildCache is two directories in the go command's own layout: <id>-a says which output an action had, <id>-d is it.
type buildCache struct{ upper, lower string }

func (c buildCache) get(action []byte) cacheAnswer {
	for _, directory := range []string{c.upper, c.lower} {
		entry, err := os.ReadFile(entryPath(directory, action, "a"))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(entry)) // v1 <action> <output> <size> <nanoseconds>
		if len(fields) != 5 {
			continue
		}
		output, err := hex.DecodeString(fields[2])
		size, sizeErr := strconv.ParseInt(fields[3], 10, 64)
		nanoseconds, timeErr := strconv.ParseInt(fields[4], 10, 64)
		if err != nil || sizeErr != nil || timeErr != nil {
			continue
		}
		path := entryPath(directory, output, "d")
		if file, err := os.Stat(path); err != nil || !file.Mode().IsRegular() || file.Size() != size {
			continue
		}
		when := time.Unix(0, nanoseconds)
		return cacheAnswer{OutputID: output, Size: size, Time: &when, DiskPath: path}
	}
	return cacheAnswer{Miss: true}
}

func (c buildCache) put(action, output, body []byte, answer *cacheAnswer) error {
	answer.DiskPath = entryPath(c.upper, output, "d")
	if err := writeWhole(answer.DiskPath, body); err != nil {
		return err
	}
	entry := fmt.Sprintf("v1 %x %x %20d %20d\n", action, output, len(body), time.Now().UnixNano())
	return writeWhole(entryPath(c.upper, action, "a"), []byte(entry))
}

func entryPath(directory string, id []byte, kind string) string {
	name := hex.EncodeToString(id)
	return filepath.Join(directory, name[:min(2, len(name))], name+"-"+kind)
}

// writeWhole: another go command of the sandbox sees all of the file or none.
func writeWhole(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "half")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(content); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
