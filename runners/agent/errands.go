package main

import (
	"errors"
	"io"
	"math"
	"slices"
)

func (a *agent) done(stream uint32, message any) {
	a.channel.send(kindDone, stream, encode(message))
	a.closes(stream)
}

// errand is one step of a GET, LIST, STAT or REMOVE; true: it was the last. It is taken only while the host
// takes what is sent, so that a host which asks and does not read costs the memory of its questions alone.
type errand func() bool

func (a *agent) runErrand() {
	if len(a.errands) == 0 || !a.roomy {
		return
	}
	step := a.errands[0]
	a.errands = slices.Delete(a.errands, 0, 1)
	if !step() {
		a.errands = append(a.errands, step)
	}
}

func (a *agent) addErrand(f frame) {
	var order struct {
		Path  *string `json:"path"`
		Limit *int64  `json:"limit"`
	}
	refused := decodeInto(f.payload, &order)
	path := ""
	switch {
	case refused != nil:
	case order.Path == nil:
		refused = refuse("bad_request", "path is missing")
	case f.kind == kindGet && (order.Limit == nil || *order.Limit < 0):
		refused = refuse("bad_request", "limit must be a number, and not negative")
	case f.kind == kindGet || f.kind == kindRemove:
		path, refused = plainFilePath(*order.Path)
	default:
		path, refused = plainPath(*order.Path)
	}
	if refused != nil {
		a.refuse(f.stream, refused)
		return
	}
	a.work.reclaim()
	stream := f.stream
	answer := func(message any, refused *refusal) bool {
		if refused != nil {
			a.refuse(stream, refused)
		} else {
			a.done(stream, message)
		}
		return true
	}
	var step errand
	switch f.kind {
	case kindGet:
		step = a.getter(stream, path, *order.Limit)
	case kindList:
		step = func() bool { return answer(a.work.list(path)) }
	case kindStat:
		step = func() bool { return answer(a.work.stat(path)) }
	default:
		step = func() bool { return answer(a.work.remove(path)) }
	}
	a.errands = append(a.errands, step)
}

// getter sends a file piece by piece. It is opened with the first piece, not before its turn.
func (a *agent) getter(stream uint32, path string, limit int64) errand {
	fd, sent := -1, int64(0)
	fail := func(refused *refusal) bool {
		closeEnd(&fd)
		a.refuse(stream, refused)
		return true
	}
	return func() bool {
		if fd < 0 {
			var refused *refusal
			if fd, refused = a.work.openRegular(path, limit); refused != nil {
				return fail(refused)
			}
		}
		// The largest read is one more than may be sent, so that a file which grows is noticed.
		most := int(min(maxOutputPayload, limit-sent+1))
		n, err := a.channel.sendFrom(fd, kindContent, stream, most, int(min(limit-sent, math.MaxInt32)))
		sent += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			closeEnd(&fd)
			a.done(stream, map[string]int64{"size": sent})
			return true
		case err != nil:
			return fail(fileRefusal(path, err))
		case sent > limit:
			return fail(refuse("too_large", "%s has grown over the limit of %d bytes", path, limit))
		}
		return false
	}
}
