package main

import (
	"encoding/binary"
	"fmt"
)

// The frame codec: bytes in, frames out, no I/O. PROTOCOL.md states the layout; runners/vectors binds
// this file and runners/wire.py to the same bytes.

type frameKind byte

// Below 0x80 the host sends it, from 0x80 the agent does.
const (
	kindExec     frameKind = 0x01
	kindStdin    frameKind = 0x02
	kindStdinEnd frameKind = 0x03
	kindSignal   frameKind = 0x04
	kindPut      frameKind = 0x05
	kindData     frameKind = 0x06
	kindGet      frameKind = 0x07
	kindList     frameKind = 0x08
	kindStat     frameKind = 0x09
	kindRemove   frameKind = 0x0a

	kindHello   frameKind = 0x81
	kindStdout  frameKind = 0x82
	kindStderr  frameKind = 0x83
	kindExit    frameKind = 0x84
	kindError   frameKind = 0x85
	kindContent frameKind = 0x86
	kindDone    frameKind = 0x87
)

var kindNames = map[frameKind]string{
	kindExec: "EXEC", kindStdin: "STDIN", kindStdinEnd: "STDIN_END", kindSignal: "SIGNAL", kindPut: "PUT",
	kindData: "DATA", kindGet: "GET", kindList: "LIST", kindStat: "STAT", kindRemove: "REMOVE",
	kindHello: "HELLO", kindStdout: "STDOUT", kindStderr: "STDERR", kindExit: "EXIT", kindError: "ERROR",
	kindContent: "CONTENT", kindDone: "DONE",
}

func (k frameKind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("kind 0x%02x", byte(k))
}

func (k frameKind) fromAgent() bool { return k >= 0x80 }

const (
	headerBytes = 9
	// maxPayload bounds what one frame can make a peer hold; larger content is sent as several data frames.
	maxPayload = 1 << 20
	// maxOutputPayload keeps one noisy output stream from delaying the other for long.
	maxOutputPayload = 64 << 10
)

func (k frameKind) limit() int {
	if k == kindStdout || k == kindStderr {
		return maxOutputPayload
	}
	return maxPayload
}

// frame is one unit of the channel. The payload of a decoded frame lies in the decoder's buffer: it is good
// until the decoder is given more bytes.
type frame struct {
	kind    frameKind
	stream  uint32
	payload []byte
}

// appendHeader appends the nine bytes that precede a payload of length bytes.
func appendHeader(to []byte, kind frameKind, stream uint32, length int) []byte {
	to = append(to, byte(kind))
	to = binary.BigEndian.AppendUint32(to, stream)
	return binary.BigEndian.AppendUint32(to, uint32(length))
}

// appendFrame appends a whole frame. A payload over its limit is the caller's mistake, not the peer's.
func appendFrame(to []byte, f frame) ([]byte, error) {
	if len(f.payload) > f.kind.limit() {
		return to, fmt.Errorf("%s of %d bytes is over the limit of %d", f.kind, len(f.payload), f.kind.limit())
	}
	return append(appendHeader(to, f.kind, f.stream, len(f.payload)), f.payload...), nil
}

// frameFault is what the peer did wrong: the reason as the vectors name it, and the sentence that is sent.
type frameFault struct{ reason, sentence string }

func (f *frameFault) Error() string { return f.sentence }

// firstBuffer is what an idle channel costs, and at once the largest single read: Docker copies 32 KiB at a time.
const firstBuffer = 64 << 10

// decoder collects the bytes of one direction and yields whole frames. It holds at most one incomplete frame,
// and nothing of a frame whose header it has not admitted.
type decoder struct {
	fromAgent bool
	buffer    []byte
	start     int // buffer[start:] has not been decoded yet
	fault     error
}

// room is where the next bytes go, never empty. Frames decoded before lose their payload.
func (d *decoder) room() []byte {
	if d.start > 0 {
		d.buffer = d.buffer[:copy(d.buffer, d.buffer[d.start:])]
		d.start = 0
	}
	wanted := firstBuffer
	if len(d.buffer) >= headerBytes && d.fault == nil { // a header that next has admitted
		wanted = max(wanted, headerBytes+int(binary.BigEndian.Uint32(d.buffer[5:])))
	}
	if wanted > cap(d.buffer) {
		grown := make([]byte, len(d.buffer), wanted)
		copy(grown, d.buffer)
		d.buffer = grown
	}
	return d.buffer[len(d.buffer):cap(d.buffer)]
}

// received takes in the first n bytes of what room returned.
func (d *decoder) received(n int) { d.buffer = d.buffer[:len(d.buffer)+n] }

// next is the next whole frame, false when there is none yet. A fault ends the decoder for good.
func (d *decoder) next() (frame, bool, error) {
	if d.fault != nil {
		return frame{}, false, d.fault
	}
	pending := d.buffer[d.start:]
	if len(pending) < headerBytes {
		return frame{}, false, nil
	}
	kind, length := frameKind(pending[0]), binary.BigEndian.Uint32(pending[5:])
	if d.fault = d.admit(kind, length); d.fault != nil {
		d.buffer, d.start = nil, 0
		return frame{}, false, d.fault
	}
	end := headerBytes + int(length)
	if len(pending) < end {
		return frame{}, false, nil
	}
	d.start += end
	return frame{kind, binary.BigEndian.Uint32(pending[1:]), pending[headerBytes:end:end]}, true, nil
}

// pending is how many bytes have come that do not make a whole frame yet.
func (d *decoder) pending() int { return len(d.buffer) - d.start }

// rest gives back the memory that a large frame took.
func (d *decoder) rest() {
	if d.pending() == 0 && cap(d.buffer) > firstBuffer {
		d.buffer, d.start = nil, 0
	}
}

func (d *decoder) admit(kind frameKind, length uint32) error {
	if _, known := kindNames[kind]; !known {
		return &frameFault{"unknown_kind", fmt.Sprintf("unknown frame kind 0x%02x", byte(kind))}
	}
	if kind.fromAgent() != d.fromAgent {
		return &frameFault{"wrong_direction", fmt.Sprintf("%s is not sent in this direction", kind)}
	}
	if int64(length) > int64(kind.limit()) {
		sentence := fmt.Sprintf("%s of %d bytes is over the limit of %d", kind, length, kind.limit())
		return &frameFault{"too_large", sentence}
	}
	return nil
}
