package console

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open gives a terminal: the user's side and the program's.
func open(t *testing.T, cols, rows uint16) (user, program *os.File) {
	t.Helper()
	user, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close(); program.Close() })
	if err := pty.Setsize(program, &pty.Winsize{Cols: cols, Rows: rows}); err != nil {
		t.Fatal(err)
	}
	return user, program
}

func mode(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

func next(t *testing.T, sizes <-chan [2]uint) [2]uint {
	t.Helper()
	select {
	case s := <-sizes:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("no size came")
		return [2]uint{}
	}
}

func TestATakenTerminalIsRawUntilItIsReleased(t *testing.T) {
	_, program := open(t, 80, 24)
	before := mode(t, program)
	held, err := Take(program, program)
	if err != nil {
		t.Fatal(err)
	}
	if raw := mode(t, program); raw.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 {
		t.Errorf("not raw: %+v", raw)
	}
	held.Release()
	if after := mode(t, program); after != before {
		t.Errorf("%+v after, %+v before", after, before)
	}
	held.Release() // once more does no harm
	if _, open := <-held.Sizes; open {
		if _, open = <-held.Sizes; open {
			t.Error("sizes go on after the release")
		}
	}
}

func TestTheSizeComesAtTheStartAndWithEachChange(t *testing.T) {
	_, program := open(t, 80, 24)
	held, err := Take(program, program)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	if got := next(t, held.Sizes); got != [2]uint{80, 24} {
		t.Errorf("at the start %v", got)
	}
	if err := pty.Setsize(program, &pty.Winsize{Cols: 132, Rows: 50}); err != nil {
		t.Fatal(err)
	}
	// The kernel tells the terminal's own session only, which the test is not in.
	if err := unix.Kill(os.Getpid(), unix.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	if got := next(t, held.Sizes); got != [2]uint{132, 50} {
		t.Errorf("after the change %v", got)
	}
}

func TestOnlyATerminalCanBeTaken(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, in := range []io.Reader{strings.NewReader(""), file} {
		if _, err := Take(in, io.Discard); err == nil || Is(in) {
			t.Errorf("%T was taken for a terminal", in)
		}
	}
	_, program := open(t, 80, 24)
	if !Is(program) {
		t.Error("a terminal was not taken for one")
	}
}

func TestTheKeysToDetachEndTheReadingAndReachNobody(t *testing.T) {
	keys, err := ParseDetachKeys(DefaultDetachKeys)
	if err != nil {
		t.Fatal(err)
	}
	for typed, want := range map[string]string{"ls\n\x10\x11more": "ls\n", "\x10x\x10\x11": "\x10x"} {
		got, err := io.ReadAll(Detachable(oneByOne{strings.NewReader(typed)}, keys))
		if string(got) != want || !errors.Is(err, ErrDetached) {
			t.Errorf("%q: read %q, %v; want %q", typed, got, err, want)
		}
	}
	if got, err := io.ReadAll(Detachable(strings.NewReader("no keys"), keys)); string(got) != "no keys" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := ParseDetachKeys("ctrl-1"); err == nil {
		t.Error("ctrl-1 is no key")
	}
}

// oneByOne is a reader that gives a byte at a time, as a user types.
type oneByOne struct{ r io.Reader }

func (o oneByOne) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }
