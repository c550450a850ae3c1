package engine

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// PostStart runs the service's post_start hooks in a container that has just been started, one after the other, with
// their output to out. A hook that does not exit with 0 is an error with the end of what it said.
func (e *Engine) PostStart(ctx context.Context, id string, s *placement.Service, out io.Writer) error {
	return e.RunHooks(ctx, id, "post_start", s, s.Spec.PostStart, out)
}

// PreStop runs the service's pre_stop hooks in a container that is about to be stopped. A container that does not run
// (any more) has none to run.
func (e *Engine) PreStop(ctx context.Context, id string, s *placement.Service, out io.Writer) error {
	if len(s.Spec.PreStop) == 0 {
		return nil
	}
	st, err := e.State(ctx, id)
	if IsNotFound(err) || err == nil && st.Status != "running" {
		return nil
	}
	if err != nil {
		return err
	}
	return e.RunHooks(ctx, id, "pre_stop", s, s.Spec.PreStop, out)
}

// RunHooks runs hooks of a service in a running container, one after the other; kind names them in errors.
func (e *Engine) RunHooks(ctx context.Context, id, kind string, s *placement.Service, hooks []types.ServiceHook, out io.Writer) error {
	for _, h := range hooks {
		var said tail
		both := io.MultiWriter(&said, out)
		code, err := e.Exec(ctx, id, ExecSpec{
			Cmd: h.Command, Env: environment(h.Environment, nil), User: h.User, WorkingDir: h.WorkingDir, Privileged: h.Privileged,
			Stdout: both, Stderr: both,
		})
		if err != nil {
			return err
		}
		if code != 0 {
			return &Error{Host: e.host.Name, Op: "run " + kind + " hook", Subject: strings.Join(h.Command, " "),
				Cause: fmt.Errorf("%s hook exited with status %d: %s", s.Name, code, said.String())} // docker compose's words
		}
	}
	return nil
}

// tail keeps the last maxComplaint bytes written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - maxComplaint; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.b)) }
