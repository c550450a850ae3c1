package cli

import (
	"errors"
	"io"
	"testing"

	"berth/runtime/logs"
)

// full is a disk with no space left.
type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestALogThatCannotBeWrittenEndsWithAnError(t *testing.T) {
	line := func(p *logs.Printer) { p.Line(logs.Stream{Label: "web-1"}, logs.Line{Text: []byte("hello")}) }
	p := logs.NewPrinter(full{}, io.Discard, logs.PrinterOptions{})
	ctx, idle, written := feeding(t.Context(), p)
	line(p)
	if idle(); ctx.Err() == nil {
		t.Error("it goes on")
	}
	if err := written(nil); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
	p = logs.NewPrinter(io.Discard, io.Discard, logs.PrinterOptions{})
	ctx, idle, written = feeding(t.Context(), p)
	line(p)
	if idle(); ctx.Err() != nil {
		t.Error("it ends although all is written")
	}
	if err := written(nil); err != nil {
		t.Errorf("error %v", err)
	}
}
