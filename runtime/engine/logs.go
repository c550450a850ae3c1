package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types/container"
)

// LogOptions say which log lines.
type LogOptions struct {
	Follow     bool   // go on until the container ends
	Timestamps bool   // put the time before each Text, as `docker logs -t` does
	Tail       string // "all" or "", or how many of the last lines
	Since      string // RFC 3339, Unix seconds or a duration back from now ("10m"); ""
	Until      string // likewise
}

// LogLine is one line of a container's output.
type LogLine struct {
	Time   time.Time // the engine's clock
	Stderr bool
	Text   []byte // without the newline; the callee may keep it
}

// maxLine bounds what is held of a line that has no end; it is handed on in pieces of this many bytes.
const maxLine = 1 << 20

// Logs calls f for each line of a container's output, in order. The engine is always asked for timestamps, so that
// the lines of several hosts can be merged by time. It returns nil at the end of the log, the context's error when that
// ended it.
func (e *Engine) Logs(ctx context.Context, id string, o LogOptions, f func(LogLine)) error {
	info, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return e.fail("read logs of container", id, err)
	}
	body, err := e.api.ContainerLogs(ctx, id, container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: o.Follow, Tail: o.Tail, Since: o.Since, Until: o.Until,
	})
	if err != nil {
		return e.fail("read logs of container", id, err)
	}
	defer body.Close()
	emit := f
	if o.Timestamps {
		emit = func(l LogLine) {
			l.Text = append([]byte(l.Time.UTC().Format(rfc3339NanoFixed)+" "), l.Text...)
			f(l)
		}
	}
	if info.Config != nil && info.Config.Tty {
		err = ttyLines(body, emit)
	} else {
		err = framedLines(body, emit)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return e.fail("read logs of container", id, err)
}

// rfc3339NanoFixed is RFC 3339 with all nine digits, the engine's form, so that times sort as text.
const rfc3339NanoFixed = "2006-01-02T15:04:05.000000000Z07:00"

// lineBuffer joins the pieces of a line and splits off the timestamp, which the engine puts before each piece.
type lineBuffer struct {
	stderr bool
	at     time.Time
	text   []byte
	emit   func(LogLine)
}

// piece takes one message: a timestamp, a space, and a line or, without a newline at the end, a part of one.
func (b *lineBuffer) piece(p []byte) {
	at, text := cutTime(p)
	if b.text == nil {
		b.at = at
	}
	whole := bytes.HasSuffix(text, []byte("\n"))
	b.text = append(b.text, bytes.TrimSuffix(text, []byte("\n"))...)
	if whole || len(b.text) >= maxLine {
		b.flush()
	}
}

func (b *lineBuffer) flush() {
	text := b.text
	if text == nil {
		text = []byte{}
	}
	b.emit(LogLine{Time: b.at, Stderr: b.stderr, Text: text})
	b.text = nil
}

func cutTime(p []byte) (time.Time, []byte) {
	stamp, rest, ok := bytes.Cut(p, []byte(" "))
	if !ok {
		stamp, rest = bytes.TrimSuffix(p, []byte("\n")), p[len(bytes.TrimSuffix(p, []byte("\n"))):]
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return time.Time{}, p
	}
	return at, rest
}

// ttyLines reads the log of a container with a terminal: plain lines, all on one stream.
func ttyLines(r io.Reader, emit func(LogLine)) error {
	b := lineBuffer{emit: emit}
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := br.ReadBytes('\n')
		if len(line) > 0 {
			// A terminal ends its lines with CR LF.
			if t, ok := bytes.CutSuffix(line, []byte("\r\n")); ok {
				line = line[:len(t)+1]
				line[len(t)] = '\n'
			}
			b.piece(line)
		}
		if err != nil {
			if b.text != nil {
				b.flush()
			}
			return endOfStream(err)
		}
	}
}

// framedLines reads the log of a container without a terminal: frames of 8 bytes of header (stream, three zeros,
// big-endian length) and one message each (Engine API, "Attach to a container", stream format).
func framedLines(r io.Reader, emit func(LogLine)) error {
	br := bufio.NewReaderSize(r, 64<<10)
	buffers := [2]lineBuffer{{emit: emit}, {emit: emit, stderr: true}}
	var frame []byte
	for {
		kind, size, err := frameHeader(br)
		if err != nil {
			for i := range buffers {
				if buffers[i].text != nil {
					buffers[i].flush()
				}
			}
			return endOfStream(err)
		}
		if cap(frame) < size {
			frame = make([]byte, size)
		}
		frame = frame[:size]
		if _, err := io.ReadFull(br, frame); err != nil {
			return endOfStream(err)
		}
		switch kind {
		case streamStdout, streamStdin:
			buffers[0].piece(frame)
		case streamStderr:
			buffers[1].piece(frame)
		case streamSystem:
			return errors.New(string(frame))
		}
	}
}

// The streams of a frame header.
const (
	streamStdin byte = iota
	streamStdout
	streamStderr
	streamSystem
)

// maxFrame bounds a frame's announced size: engines send at most some tens of kilobytes.
const maxFrame = 64 << 20

func frameHeader(r io.Reader) (kind byte, size int, err error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, 0, err
	}
	n := binary.BigEndian.Uint32(h[4:])
	if h[0] > streamSystem || n > maxFrame {
		return 0, 0, fmt.Errorf("the engine's stream is not framed: header % x", h)
	}
	return h[0], int(n), nil
}

// endOfStream makes nil of what only says that the stream is over.
func endOfStream(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
