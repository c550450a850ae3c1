package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// logsOf reads all of a container's log as "out:text" and "err:text".
func (b *bench) logsOf(id string, o LogOptions) []string {
	b.t.Helper()
	var lines []string
	err := b.Logs(b.ctx, id, o, func(l LogLine) {
		stream := "out:"
		if l.Stderr {
			stream = "err:"
		}
		if l.Time.IsZero() {
			b.t.Errorf("line %q has no time", l.Text)
		}
		lines = append(lines, stream+string(l.Text))
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return lines
}

func TestLogsComeLineByLineWithStreamAndTime(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  plain:
    image: berth-lab/busybox:1
    command: sh -c "echo one; echo two >&2; echo; printf 'no end'"
  terminal:
    image: berth-lab/busybox:1
    tty: true
    command: sh -c "echo one; echo two >&2; printf 'no end'"
  long:
    image: berth-lab/busybox:1
    command: sh -c "head -c 50000 /dev/zero | tr '\\0' x; echo; echo after"
`)
	ids := b.up(p)
	for name := range ids {
		b.awaitExit(ids[name])
	}
	got := b.logsOf(ids["plain"], LogOptions{Follow: true})
	var out, errs []string
	for _, l := range got { // the order of two streams is the engine's
		if strings.HasPrefix(l, "out:") {
			out = append(out, l)
		} else {
			errs = append(errs, l)
		}
	}
	if d := cmp.Diff([]string{"out:one", "out:", "out:no end"}, out) + cmp.Diff([]string{"err:two"}, errs); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"out:one", "out:two", "out:no end"}, b.logsOf(ids["terminal"], LogOptions{})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"out:" + strings.Repeat("x", 50000), "out:after"}, b.logsOf(ids["long"], LogOptions{})); d != "" {
		t.Error("a line longer than the engine's pieces is not whole")
	}
	if d := cmp.Diff([]string{"out:after"}, b.logsOf(ids["long"], LogOptions{Tail: "1"})); d != "" {
		t.Error(d)
	}
	stamped := b.logsOf(ids["terminal"], LogOptions{Tail: "1", Timestamps: true})
	if _, err := time.Parse(time.RFC3339Nano, strings.TrimPrefix(strings.Fields(stamped[0])[0], "out:")); err != nil {
		t.Error(err)
	}
	if err := b.Logs(b.ctx, "nobody", LogOptions{}, func(LogLine) {}); !IsNotFound(err) {
		t.Errorf("logs of an absent container: %v", err)
	}
}

func TestFramesGiveBackWhatWasWritten(t *testing.T) {
	at := "2024-05-06T07:08:09.123456789Z"
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.StringMatching(`[a-z ]{0,20}`)).Draw(t, "lines")
		var stream bytes.Buffer
		frame := func(kind byte, text string) {
			var h [8]byte
			h[0] = kind
			binary.BigEndian.PutUint32(h[4:], uint32(len(text)))
			stream.Write(h[:])
			stream.WriteString(text)
		}
		var want []string
		for i, l := range lines {
			kind := byte(1 + i%2)
			cut := rapid.IntRange(0, len(l)).Draw(t, "cut")
			if cut > 0 && cut < len(l) {
				frame(kind, at+" "+l[:cut])
				frame(kind, at+" "+l[cut:]+"\n")
			} else {
				frame(kind, at+" "+l+"\n")
			}
			want = append(want, fmt.Sprint(kind, l))
		}
		var got []string
		err := framedLines(&stream, func(l LogLine) {
			kind := 1
			if l.Stderr {
				kind = 2
			}
			if l.Time.Format(time.RFC3339Nano) != at {
				t.Errorf("time %s", l.Time)
			}
			got = append(got, fmt.Sprint(kind, string(l.Text)))
		})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}
