package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The byte vectors that bind this codec and runners/wire.py to each other.

type vectorPart struct {
	digits string
	times  int
}

func (p *vectorPart) UnmarshalJSON(raw []byte) error {
	p.times = 1
	if raw[0] == '"' {
		return json.Unmarshal(raw, &p.digits)
	}
	var repetition struct {
		Repeat string
		Times  int
	}
	err := json.Unmarshal(raw, &repetition)
	p.digits, p.times = repetition.Repeat, repetition.Times
	return err
}

type vectorBytes []vectorPart

func (v vectorBytes) expand(t *testing.T) []byte {
	var all []byte
	for _, part := range v {
		decoded, err := hex.DecodeString(part.digits)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.Repeat(decoded, part.times)...)
	}
	return all
}

type vector struct {
	Name  string
	From  string
	Feeds []struct {
		Bytes  vectorBytes
		Frames []struct {
			Kind    string
			Stream  uint32
			Payload vectorBytes
		}
	}
	Pending int
	Fault   string
}

func readVectors(t *testing.T, files ...string) []vector {
	var all []vector
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join("..", "vectors", file))
		if err != nil {
			t.Fatal(err)
		}
		var read struct{ Vectors []vector }
		if err := json.Unmarshal(content, &read); err != nil || len(read.Vectors) == 0 {
			t.Fatalf("%s: %v, %d vectors", file, err, len(read.Vectors))
		}
		all = append(all, read.Vectors...)
	}
	return all
}

func kindNamed(t *testing.T, name string) frameKind {
	for kind, known := range kindNames {
		if known == name {
			return kind
		}
	}
	t.Fatalf("no kind is called %s", name)
	return 0
}

func (v vector) decoder() *decoder { return &decoder{fromAgent: v.From == "agent"} }

func (v vector) frames(t *testing.T, feeds ...int) []frame {
	var all []frame
	for _, i := range feeds {
		for _, f := range v.Feeds[i].Frames {
			all = append(all, frame{kindNamed(t, f.Kind), f.Stream, f.Payload.expand(t)})
		}
	}
	return all
}

func (v vector) everyFeed() []int {
	feeds := make([]int, len(v.Feeds))
	for i := range feeds {
		feeds[i] = i
	}
	return feeds
}

func (v vector) whole(t *testing.T) []byte {
	var all []byte
	for _, feed := range v.Feeds {
		all = append(all, feed.Bytes.expand(t)...)
	}
	return all
}

// feed gives piece to the decoder as the channel would, and returns copies of the frames it completes.
func feed(d *decoder, piece []byte) ([]frame, error) {
	var frames []frame
	for {
		n := copy(d.room(), piece)
		d.received(n)
		piece = piece[n:]
		for {
			f, whole, err := d.next()
			if err != nil {
				return frames, err
			}
			if !whole {
				break
			}
			f.payload = bytes.Clone(f.payload)
			frames = append(frames, f)
		}
		if len(piece) == 0 {
			return frames, nil
		}
	}
}

func requireFrames(t *testing.T, got, want []frame) {
	t.Helper()
	same := slices.EqualFunc(got, want, func(a, b frame) bool {
		return a.kind == b.kind && a.stream == b.stream && bytes.Equal(a.payload, b.payload)
	})
	if !same {
		t.Fatalf("got %.300v, want %.300v", got, want)
	}
}

func TestEachFeedCompletesExactlyItsFrames(t *testing.T) {
	for _, v := range readVectors(t, "frames.json", "cuts.json") {
		t.Run(v.Name, func(t *testing.T) {
			d := v.decoder()
			for i := range v.Feeds {
				got, err := feed(d, v.Feeds[i].Bytes.expand(t))
				if err != nil {
					t.Fatal(err)
				}
				requireFrames(t, got, v.frames(t, i))
			}
			if d.pending() != v.Pending {
				t.Fatalf("%d bytes pending, want %d", d.pending(), v.Pending)
			}
		})
	}
}

func TestEncodingTheFramesGivesTheBytesBack(t *testing.T) {
	for _, v := range readVectors(t, "frames.json") {
		t.Run(v.Name, func(t *testing.T) {
			var encoded []byte
			for _, f := range v.frames(t, v.everyFeed()...) {
				var err error
				if encoded, err = appendFrame(encoded, f); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(encoded, v.whole(t)) {
				t.Fatalf("got %.100x", encoded)
			}
		})
	}
}

func TestAFaultIsNamedAndStays(t *testing.T) {
	for _, v := range readVectors(t, "faults.json") {
		t.Run(v.Name, func(t *testing.T) {
			d := v.decoder()
			got, err := feed(d, v.whole(t))
			requireFrames(t, got, v.frames(t, v.everyFeed()...))
			var fault *frameFault
			if !errors.As(err, &fault) || fault.reason != v.Fault {
				t.Fatalf("got %v, want %s", err, v.Fault)
			}
			if _, again := feed(d, []byte{0}); again != err {
				t.Fatalf("afterwards: %v", again)
			}
		})
	}
}

func TestHowTheBytesAreCutChangesNothing(t *testing.T) {
	const everyCut = 2000 // vectors up to this size are cut at every position
	for _, v := range readVectors(t, "frames.json", "cuts.json", "faults.json") {
		t.Run(v.Name, func(t *testing.T) {
			whole, want := v.whole(t), v.frames(t, v.everyFeed()...)
			cuts := []int{1, 9, 10, len(whole) - 1}
			if len(whole) <= everyCut {
				cuts = cuts[:0]
				for cut := range len(whole) + 1 {
					cuts = append(cuts, cut)
				}
			}
			for _, cut := range cuts {
				d := v.decoder()
				got, err := feed(d, whole[:cut])
				if err == nil {
					more, _ := feed(d, whole[cut:])
					got = append(got, more...)
				}
				requireFrames(t, got, want)
			}
		})
	}
}

func TestNothingIsKeptOfAFrameThatIsTooLarge(t *testing.T) {
	d := &decoder{}
	if _, err := feed(d, appendHeader(nil, kindData, 1, maxPayload+1)); err == nil {
		t.Fatal("it was admitted")
	}
	if cap(d.room()) > firstBuffer {
		t.Fatalf("%d bytes are reserved", cap(d.room()))
	}
}

func TestRestGivesBackWhatALargeFrameTook(t *testing.T) {
	d := &decoder{}
	large, _ := appendFrame(nil, frame{kindData, 1, make([]byte, maxPayload)})
	if frames, err := feed(d, large); err != nil || len(frames) != 1 {
		t.Fatal(frames, err)
	}
	d.rest()
	if cap(d.buffer) > firstBuffer {
		t.Fatalf("%d bytes are kept", cap(d.buffer))
	}
}

func TestAFrameOverItsLimitIsNotEncoded(t *testing.T) {
	for kind := range kindNames {
		if _, err := appendFrame(nil, frame{kind, 1, make([]byte, kind.limit()+1)}); err == nil {
			t.Errorf("%s was encoded", kind)
		}
	}
}
