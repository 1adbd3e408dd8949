package main

// streamTable knows which streams are open. A stream that the agent has closed counts until the host has been told:
// the two may cross on the wire, and a host that does not read must not be answered without end.
type streamTable struct {
	last   uint32 // the highest number used so far
	open   map[uint32]streamUse
	closed []closedStream
}

// closedStream is one whose last frame waits in the channel, and ends there.
type closedStream struct {
	stream uint32
	end    int64
}

type streamUse int

const (
	forExec streamUse = iota + 1
	forPut
	forErrand
	forNothing // closed, the host not told yet
)

// maxStreams: a sandbox runs one exec, some file transfers, later brokered connections.
const maxStreams = 64

func (t *streamTable) close(stream uint32, end int64) {
	t.open[stream] = forNothing
	t.closed = append(t.closed, closedStream{stream, end})
}

// told: the host has taken so much of what was sent.
func (t *streamTable) told(taken int64) {
	for len(t.closed) > 0 && t.closed[0].end <= taken {
		delete(t.open, t.closed[0].stream)
		t.closed = t.closed[1:]
	}
}

// closes is called when the last frame of a stream has been sent.
func (a *agent) closes(stream uint32) { a.streams.close(stream, a.channel.queued()) }

// accept obeys one frame.
func (a *agent) accept(f frame) {
	switch f.kind {
	case kindExec:
		a.opens(f, forExec)
		a.startExec(f.stream, f.payload)
	case kindPut:
		a.opens(f, forPut)
		a.startPut(f.stream, f.payload)
	case kindGet, kindList, kindStat, kindRemove:
		a.opens(f, forErrand)
		a.addErrand(f)
	default:
		a.continues(f)
	}
}

// opens holds the host to the numbering of streams.
func (a *agent) opens(f frame, use streamUse) {
	if f.stream <= a.streams.last {
		a.protocolFault("%s on stream %d, but %d has been used", f.kind, f.stream, a.streams.last)
	}
	if len(a.streams.open) >= maxStreams {
		a.protocolFault("%s on stream %d, but %d streams are open", f.kind, f.stream, maxStreams)
	}
	a.streams.last = f.stream
	a.streams.open[f.stream] = use
}

// continues obeys a frame on a stream that is open already. What comes for one that has ended is dropped: the two
// crossed.
func (a *agent) continues(f frame) {
	if f.stream == 0 || f.stream > a.streams.last {
		a.protocolFault("%s on stream %d, which was never opened", f.kind, f.stream)
	}
	use := a.streams.open[f.stream]
	switch {
	case use == 0 || use == forNothing:
	case f.kind == kindData && use == forPut:
		a.continuePut(f.stream, f.payload)
	case use != forExec:
		a.protocolFault("%s on stream %d, which is no exec", f.kind, f.stream)
	case f.kind == kindData && a.run.phase != receiving:
		a.protocolFault("DATA on stream %d, whose files are complete", f.stream)
	case f.kind == kindData:
		a.takeFiles(f.payload)
	case f.kind == kindStdin:
		a.feedRun(f.payload)
	case f.kind == kindStdinEnd:
		a.run.endStdin()
	case f.kind == kindSignal:
		signal, refused := decodeSignal(f.payload)
		if refused != nil {
			a.protocolFault("SIGNAL on stream %d: %s", f.stream, refused.message)
		}
		a.signalRun(signal)
	}
}

// feedRun: too much standard input ends that run, and nothing else.
func (a *agent) feedRun(bytes []byte) {
	if a.run.feed(bytes) {
		return
	}
	if a.run.proc != nil {
		a.killRun()
	}
	a.abandon(refuse("stdin_overflow", "more than %d bytes of standard input are waiting", maxStdinWaiting))
}

// refuse closes a stream: what it asked for was not done.
func (a *agent) refuse(stream uint32, why *refusal) {
	a.channel.send(kindError, stream, why.encode())
	a.closes(stream)
}
