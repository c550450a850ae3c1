package behaviour_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"berth/fixtures/lab/lab"
)

// Each shell runs as a user has it, on a terminal, and gets the Tab key.
func TestShellsCompleteWhatIsTyped(t *testing.T) {
	if err := lab.InstallShells(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	for _, shell := range []struct{ name, flags, term, setup string }{
		{"bash", "--norc", "dumb", "source <(berth completion bash)"},
		{"zsh", "-f", "dumb", "autoload -U compinit; compinit -u -D; source <(berth completion zsh)"},
		{"fish", "-N", "xterm", "berth completion fish | source"},
	} {
		t.Run(shell.name, func(t *testing.T) {
			t.Parallel()
			u := atShell(t, shell.term, shell.name, shell.flags, "-i")
			u.types(shell.setup + "; echo re''ady\n")
			u.sees("ready\r\n")
			for _, c := range []struct{ typed, wanted string }{
				{"berth vol", "volumes"},
				{"berth ps fr", "frontend"},
				{"berth ps frontend da", "database"},
				{"berth logs --times", "--timestamps"},
				{"berth --progress=js", "--progress=json"},
				{"berth up --scale fr", "frontend="},
				{"berth -f other.yml ps se", "second"},
				{"berth -f oth", "other.yml"},
				{"berth completion fi", "fish"},
			} {
				u.types(c.typed + "\t")
				u.sees(c.wanted)
				u.types("\x15") // the whole line
			}
		})
	}
}

// shellUser sits at a shell's terminal.
type shellUser struct {
	t     *testing.T
	keys  *os.File
	shown *screen
	ended chan error
}

// atShell starts a shell in a folder with compose files, berth on its PATH.
func atShell(t *testing.T, term, shell string, args ...string) *shellUser {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"compose.yml": "services: {frontend: {image: a}, database: {image: b}}",
		"other.yml":   "services: {second: {image: a}}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	user, end, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(shell, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "HOME=" + dir, "TERM=" + term}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = end, end, end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end.Close()
	u := &shellUser{t: t, keys: user, shown: newScreen(), ended: make(chan error, 1)}
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(u.shown, user) })
	go func() { u.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-u.ended
		user.Close()
		reading.Wait()
	})
	return u
}

func (u *shellUser) types(keys string) {
	u.t.Helper()
	if _, err := u.keys.WriteString(keys); err != nil {
		u.t.Fatal(err)
	}
}

func (u *shellUser) sees(text string) {
	u.t.Helper()
	if err := u.shown.await(text, u.ended); err != nil {
		u.t.Fatal(err)
	}
}
