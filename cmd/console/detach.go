package console

import (
	"errors"
	"fmt"
	"io"

	"github.com/moby/term"
)

// DefaultDetachKeys leave a container that has the terminal, as docker's own.
const DefaultDetachKeys = "ctrl-p,ctrl-q"

// ErrDetached is what a reader of Detachable ends with when the user has typed the keys.
var ErrDetached = errors.New("detached")

// ParseDetachKeys reads keys as docker writes them: characters and ctrl-<character>, with commas between.
func ParseDetachKeys(keys string) ([]byte, error) {
	sequence, err := term.ToBytes(keys)
	if err != nil {
		return nil, fmt.Errorf("detach keys %q: %w; write for example ctrl-p,ctrl-q", keys, err)
	}
	return sequence, nil
}

// Detachable reads what the user types until the keys come, which are not part of it; it then ends with ErrDetached.
func Detachable(r io.Reader, keys []byte) io.Reader {
	return detachable{term.NewEscapeProxy(r, keys)}
}

type detachable struct{ io.Reader }

func (d detachable) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if errors.As(err, new(term.EscapeError)) {
		err = ErrDetached
	}
	return n, err
}
