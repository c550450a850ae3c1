package behaviour_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"berth/fixtures/lab/lab"
)

// What a user does while a command runs:
//
//	signalled N SIGNAL:TEXT… -- ARG…   run berth; send it each signal once it has written the text (after the one
//	                                   before); it has to end with exit code N
//	terminal N FILE ARG…               run berth on a terminal of 80 by 24 and do what FILE says: "await TEXT" until
//	                                   the terminal shows it, "type TEXT" (a Go string without its quotes), "resize
//	                                   WIDTH HEIGHT"; it has to end with exit code N, and leave the terminal as it was.
//	                                   What the terminal showed is stdout.

// screen collects what a command writes, and wakes who waits for a text.
type screen struct {
	mu      sync.Mutex
	all     bytes.Buffer
	seen    int // where the next text is looked for
	changed chan struct{}
}

func newScreen() *screen { return &screen{changed: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return s.all.Write(p)
}

// find looks for a text after the last one found.
func (s *screen) find(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := bytes.Index(s.all.Bytes()[s.seen:], []byte(text))
	if i < 0 {
		return false
	}
	s.seen += i + len(text)
	return true
}

func (s *screen) await(text string, ended <-chan error) error {
	deadline := time.NewTimer(lab.Patience)
	defer deadline.Stop()
	for !s.find(text) {
		select {
		case <-s.changed:
		case err := <-ended:
			if s.find(text) {
				return nil
			}
			return errors.Join(fmt.Errorf("it ended without %q:\n%s", text, s.String()), err)
		case <-deadline.C:
			return fmt.Errorf("no %q within %s:\n%s", text, lab.Patience, s.String())
		}
	}
	return nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// scripted is berth as a script's own commands start it.
func scripted(ts *testscript.TestScript, args []string) *exec.Cmd {
	ts.Check(ts.Exec("env", "-0"))
	cmd := exec.Command(binary, args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\x00"), "\x00")
	return cmd
}

// ends waits for a command that has been started, and compares its exit code.
func ends(ts *testscript.TestScript, cmd *exec.Cmd, ended <-chan error, want string, shown fmt.Stringer) {
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			ts.Fatalf("berth %s: %v", strings.Join(cmd.Args[1:], " "), err)
		}
	case <-time.After(lab.Patience):
		_ = cmd.Process.Kill()
		ts.Fatalf("berth %s did not end within %s:\n%s", strings.Join(cmd.Args[1:], " "), lab.Patience, shown)
	}
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != want {
		ts.Fatalf("berth %s: exit code %s, want %s:\n%s", strings.Join(cmd.Args[1:], " "), got, want, shown)
	}
}

func signalled(ts *testscript.TestScript, neg bool, args []string) {
	at := slices.Index(args, "--")
	if neg || at < 2 {
		ts.Fatalf("usage: signalled N SIGNAL:TEXT… -- ARG…")
	}
	cmd := scripted(ts, args[at+1:])
	both := newScreen()
	cmd.Stdout, cmd.Stderr = io.MultiWriter(ts.Stdout(), both), io.MultiWriter(ts.Stderr(), both)
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for _, word := range args[1:at] {
		name, text, _ := strings.Cut(word, ":")
		signal := unix.SignalNum("SIG" + name)
		if signal == 0 {
			ts.Fatalf("there is no signal %s", name)
		}
		if err := both.await(text, ended); err != nil {
			_ = cmd.Process.Kill()
			ts.Fatalf("berth %s: %v", strings.Join(cmd.Args[1:], " "), err)
		}
		ts.Check(cmd.Process.Signal(signal))
	}
	ends(ts, cmd, ended, args[0], both)
}

func onTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: terminal N FILE ARG…")
	}
	user, end, err := pty.Open()
	ts.Check(err)
	defer user.Close()
	defer end.Close()
	ts.Check(pty.Setsize(end, &pty.Winsize{Cols: 80, Rows: 24}))
	before, err := unix.IoctlGetTermios(int(end.Fd()), unix.TCGETS)
	ts.Check(err)
	cmd := scripted(ts, args[2:])
	cmd.Stdin, cmd.Stdout, cmd.Stderr = end, end, end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	shown := newScreen()
	ts.Check(cmd.Start())
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(shown, user) }) // ends with an error when the other side is closed
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		if err := act(strings.TrimSpace(line), user, shown, ended); err != nil {
			_ = cmd.Process.Kill()
			ts.Fatalf("berth %s: %v", strings.Join(cmd.Args[1:], " "), err)
		}
	}
	ends(ts, cmd, ended, args[0], shown)
	after, err := unix.IoctlGetTermios(int(end.Fd()), unix.TCGETS)
	ts.Check(err)
	if *after != *before {
		ts.Fatalf("berth %s left the terminal in another mode: %+v, before %+v", strings.Join(cmd.Args[1:], " "), *after, *before)
	}
	end.Close()
	reading.Wait()
	fmt.Fprint(ts.Stdout(), strings.ReplaceAll(shown.String(), "\r\n", "\n"))
}

// act does one line of a terminal's script.
func act(line string, user *os.File, shown *screen, ended <-chan error) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "":
		return nil
	case "await":
		return shown.await(rest, ended)
	case "type":
		keys, err := strconv.Unquote(`"` + rest + `"`)
		if err != nil {
			return fmt.Errorf("type %s: %w", rest, err)
		}
		_, err = user.WriteString(keys)
		return err
	case "resize":
		var w, h uint16
		if _, err := fmt.Sscan(rest, &w, &h); err != nil {
			return fmt.Errorf("resize %s: %w", rest, err)
		}
		return pty.Setsize(user, &pty.Winsize{Cols: w, Rows: h})
	}
	return fmt.Errorf("%q is not await, type or resize", word)
}
