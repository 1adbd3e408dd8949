package main

import (
	"encoding/binary"
	"errors"
	"io"
	"syscall"
	"time"
)

// channel is the duplex stream to the host. Nothing in it blocks: what the host does not take yet waits in
// pending, and whoever produces output in bulk asks roomy first, so that a slow host slows the guest and
// never the reading of frames.
type channel struct {
	in, out int
	decoder decoder
	pending []byte // encoded frames; pending[sent:] has not been taken by the host yet
	sent    int
	taken   int64 // bytes that the host has taken so far
}

// roomyBytes is how much may wait for the host before bulk output stops: one full frame, so that the next is
// read from the guest while the host takes this one. More would only move memory from the pipe into the agent.
const roomyBytes = maxOutputPayload

// errBroken: the host has closed the channel.
var errBroken = errors.New("the channel is closed")

func (c *channel) unsent() int { return len(c.pending) - c.sent }

// queued is what taken will be once the host has taken everything that was sent to it up to now.
func (c *channel) queued() int64 { return c.taken + int64(c.unsent()) }

func (c *channel) roomy() bool { return c.unsent() < roomyBytes }

// send puts one frame behind those that wait.
func (c *channel) send(kind frameKind, stream uint32, payload []byte) {
	var err error
	if c.pending, err = appendFrame(c.pending, frame{kind, stream, payload}); err != nil {
		panic(err) // whoever makes payloads keeps to the limits
	}
}

// sendFrom reads once from source, straight into a frame, and returns what it read. keep is how many bytes of it
// may be sent; the rest is dropped. At end of file the error is io.EOF.
func (c *channel) sendFrom(source int, kind frameKind, stream uint32, most, keep int) (int, error) {
	start := len(c.pending)
	c.pending = appendHeader(c.pending, kind, stream, 0)
	body := len(c.pending)
	if free := cap(c.pending) - body; free < most {
		grown := make([]byte, body, body+most)
		copy(grown, c.pending)
		c.pending = grown
	}
	n, err := sysRead(source, c.pending[body:body+most])
	kept := min(n, keep)
	if kept <= 0 {
		c.pending = c.pending[:start]
	} else {
		c.pending = c.pending[:body+kept]
		binary.BigEndian.PutUint32(c.pending[start+5:], uint32(kept))
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	return max(n, 0), err
}

// receive reads once. The frames are then taken from the decoder.
func (c *channel) receive() error {
	n, err := sysRead(c.in, c.decoder.room())
	switch {
	case err == syscall.EAGAIN:
		return nil
	case err != nil || n == 0:
		return errBroken
	}
	c.decoder.received(n)
	return nil
}

// flush hands over what the host takes without waiting.
func (c *channel) flush() error {
	for c.unsent() > 0 {
		n, err := sysWrite(c.out, c.pending[c.sent:])
		if err == syscall.EAGAIN {
			if c.sent > roomyBytes { // a host that is always a little behind must not make this grow
				c.pending = c.pending[:copy(c.pending, c.pending[c.sent:])]
				c.sent = 0
			}
			return nil
		}
		if err != nil {
			return errBroken
		}
		c.sent += n
		c.taken += int64(n)
	}
	c.pending, c.sent = c.pending[:0], 0
	return nil
}

// flushFor waits for a slow host, for the agent's last words.
func (c *channel) flushFor(patience time.Duration) {
	end := time.Now().Add(patience)
	var set pollSet
	for c.flush() == nil && c.unsent() > 0 && time.Now().Before(end) {
		set.clear()
		set.watch(c.out, pollOut)
		set.wait(time.Until(end))
	}
}

// rest gives back what large frames took, when nothing is under way.
func (c *channel) rest() {
	c.decoder.rest()
	if c.unsent() == 0 && cap(c.pending) > 4*maxOutputPayload {
		c.pending, c.sent = nil, 0
	}
}
