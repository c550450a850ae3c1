package cli

import (
	"os"
	"testing"
)

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
