package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/moby/term"

	"berth/scheduler"
)

// errDeclined says that the user answered no: the command ends without an error, and nothing was changed.
var errDeclined = errors.New("declined")

// consent is asked before a plan is carried out. again has the plan made anew, with the answers; errDeclined ends the
// command.
type consent func(*scheduler.Plan) (again bool, err error)

// ask puts a question on standard error and reads a line of standard input. y, yes, true and 1 are yes, all else is no,
// as for docker compose; so is an input that has ended, with a sentence about it.
func (ss *session) ask(question string) (bool, error) {
	ss.display.Yield()
	fmt.Fprint(ss.env.Stderr, question)
	answer, err := readLine(ss.c.Context, ss.env.Stdin)
	if f, ok := ss.env.Stdin.(*os.File); !ok || !term.IsTerminal(f.Fd()) {
		fmt.Fprintln(ss.env.Stderr) // nobody has pressed enter
	}
	switch {
	case errors.Is(err, io.EOF) && answer == "":
		ss.display.Warn("there is no answer on standard input, which counts as no")
		return false, nil
	case err != nil && !errors.Is(err, io.EOF):
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes", "true", "t", "1":
		return true, nil
	}
	return false, nil
}

// readLine reads no further than the line's end: the next question's answer follows. An interrupt ends it, although the
// read of a terminal goes on until the process ends.
func readLine(ctx context.Context, r io.Reader) (string, error) {
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		var text strings.Builder
		b := make([]byte, 1)
		for {
			n, err := r.Read(b)
			if n > 0 && b[0] == '\n' {
				read <- line{text.String(), nil}
				return
			}
			text.Write(b[:n])
			if err != nil {
				read <- line{text.String(), err}
				return
			}
		}
	}()
	select {
	case l := <-read:
		return l.text, l.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
