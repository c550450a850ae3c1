// Package console hands the user's terminal to a container: raw mode for as long as the container has it, its size and
// each change of that, and the keys that take it back.
package console

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/moby/term"
)

// Is reports whether a stream is a terminal.
func Is(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(f.Fd())
}

// Size is a terminal's width and height in characters; false where the stream is none or does not know.
func Size(stream any) (width, height uint, ok bool) {
	f, isFile := stream.(*os.File)
	if !isFile {
		return 0, 0, false
	}
	ws, err := term.GetWinsize(f.Fd())
	if err != nil || ws.Width == 0 || ws.Height == 0 {
		return 0, 0, false
	}
	return uint(ws.Width), uint(ws.Height), true
}

// Held is a terminal in raw mode. Release it whatever happens: until then the user's shell is of no use.
type Held struct {
	// Sizes brings the size, width then height in characters: once at the start, then whenever it changes. It is closed
	// by Release.
	Sizes <-chan [2]uint

	release func()
}

// Take puts the terminal of in into raw mode, in which every key goes to the container (Ctrl-C too), and begins to watch
// the size of out's.
func Take(in io.Reader, out io.Writer) (*Held, error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(f.Fd()) {
		return nil, fmt.Errorf("standard input is not a terminal")
	}
	before, err := term.SetRawTerminal(f.Fd())
	if err != nil {
		return nil, fmt.Errorf("put the terminal into raw mode: %w", err)
	}
	sizes, stop := watch(out)
	return &Held{Sizes: sizes, release: sync.OnceFunc(func() {
		_ = term.RestoreTerminal(f.Fd(), before) // a terminal that has gone away needs none
		stop()
	})}, nil
}

// Release puts the terminal back as it was. It may be called more than once, and from several goroutines.
func (h *Held) Release() { h.release() }
