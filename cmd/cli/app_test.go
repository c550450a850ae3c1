package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
)

func TestACallThatAnInterruptCutShortIsTheInterrupt(t *testing.T) {
	cut, broken := fmt.Errorf("store: read: %w", context.Canceled), errors.New("broken")
	exit := &exitError{code: 3, err: context.Canceled}
	interrupted, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	other, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	for _, c := range []struct {
		ctx       context.Context
		err, want error
	}{
		{interrupted, cut, errInterrupted}, {interrupted, broken, broken}, {interrupted, exit, exit}, {interrupted, nil, nil},
		{other, cut, cut}, {t.Context(), cut, cut},
	} {
		if got := ended(c.ctx, c.err); !errors.Is(got, c.want) {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

func TestATerminalThatKnowsNoSequencesIsWrittenToLikeAFile(t *testing.T) {
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string]bool{"xterm": true, "": true, "dumb": false} {
		if tty, _ := (Env{Environ: []string{"TERM=" + name}}).terminal(f); tty != want {
			t.Errorf("TERM=%s: redrawn %v, want %v", name, tty, want)
		}
	}
}
