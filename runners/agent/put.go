package main

import (
	"fmt"
	"syscall"
)

// put is a PUT under way. Its bytes gather in a file of another name beside the one it is for, which it replaces when
// it is complete: whoever looks meanwhile sees what was there before, all of it, and so it stays if there is no space.
type put struct {
	file       *incoming
	size       int64
	dir        int
	name, part string
}

func (a *agent) startPut(stream uint32, payload []byte) {
	var order fileOrder
	refused := decodeInto(payload, &order)
	if refused == nil {
		order.Path, refused = plainFilePath(order.Path)
	}
	if refused == nil {
		refused = checkSizeAndMode(order.Size, order.Mode)
	}
	var p *put
	if refused == nil {
		p, refused = a.work.beginPut(order, fmt.Sprintf(".petri-put-%d", stream))
	}
	if refused != nil {
		a.refuse(stream, refused)
		return
	}
	a.puts[stream] = p
	a.continuePut(stream, nil)
}

func (w *workdir) beginPut(order fileOrder, part string) (*put, *refusal) {
	w.reclaim()
	dir, name, err := w.parent(order.Path, true)
	if err != nil {
		return nil, fileRefusal(order.Path, err)
	}
	p := &put{size: *order.Size, dir: dir, name: name, part: part}
	refused := mayReplace(dir, name, order.Path)
	if refused == nil {
		_ = unlinkat(dir, part, 0) // a guest may have taken the name
		p.file, refused = w.receiveIn(dir, part, order)
	}
	if refused != nil {
		w.leave(dir)
		return nil, refused
	}
	return p, nil
}

// mayReplace: name is free, or a regular file.
func mayReplace(dir int, name, path string) *refusal {
	fd, err := openHere(dir, name, oPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err == syscall.ENOENT {
		return nil
	}
	if err != nil {
		return fileRefusal(path, err)
	}
	defer sysClose(fd)
	var stat syscall.Stat_t
	if err := sysFstat(fd, &stat); err != nil {
		return fileRefusal(path, err)
	}
	if stat.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return refuse("not_regular", "%s is not a regular file", path)
	}
	return nil
}

func (a *agent) continuePut(stream uint32, bytes []byte) {
	p := a.puts[stream]
	rest, refused := p.file.take(bytes)
	if len(rest) > 0 {
		a.protocolFault("DATA on stream %d holds %d bytes more than %s has", stream, len(rest), p.file.path)
	}
	if refused == nil && p.file.left > 0 {
		return
	}
	delete(a.puts, stream)
	if refused = a.work.endPut(p, refused); refused != nil {
		a.refuse(stream, refused)
		return
	}
	a.done(stream, map[string]int64{"size": p.size})
}

// endPut puts the file in its place, or takes it away again.
func (w *workdir) endPut(p *put, refused *refusal) *refusal {
	p.file.close()
	if refused == nil {
		if err := syscall.Renameat(p.dir, p.part, p.dir, p.name); err != nil {
			refused = fileRefusal(p.file.path, err)
		}
	}
	if refused != nil {
		_ = unlinkat(p.dir, p.part, 0)
	}
	w.leave(p.dir)
	return refused
}
