package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/urfave/cli/v2"

	"berth/placement"
	"berth/runtime/engine"
)

func waitCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "wait", Usage: "wait for the services' containers to end; the exit code is that of the last", ArgsUsage: "SERVICE…",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "down-project", Usage: "take the project down when the first of them has ended, and end with its code"},
		},
		Action: s.with(what{words: true, fileOptional: true, silent: true, store: true}, wait),
	}
}

func wait(ss *session) error {
	if len(ss.services) == 0 {
		return errors.New("wait: say which services' containers to wait for, as in \"berth wait job\"")
	}
	list, hosts, err := ss.containers(ss.c.Context, ss.services)
	if err != nil {
		return err
	}
	ss.unreachable(hosts)
	var running []placement.Container
	for _, ct := range list {
		if ct.Running() && !ct.OneOff {
			running = append(running, ct)
		}
	}
	if len(running) == 0 {
		return fmt.Errorf("wait: no containers for project %q run of these services", ss.name)
	}
	if dryRun(ss.c) {
		return nil
	}
	code, err := ss.awaitEnds(ss.c.Context, running, ss.c.Bool("down-project"))
	if err == nil && ss.c.Bool("down-project") {
		// All that bears the project's name goes: what was loaded has only the services waited for and their dependencies.
		ss.project, ss.services = nil, nil
		err = down(ss)
	}
	if err == nil && code != 0 {
		err = &exitError{code: code}
	}
	return err
}

// awaitEnds waits until all containers have ended, with first until one has, and tells of each. It gives the exit code
// of the last that it saw end. A container whose host goes away is an error; the others are waited for.
func (ss *session) awaitEnds(ctx context.Context, list []placement.Container, first bool) (int, error) {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	var (
		waiters sync.WaitGroup
		mu      sync.Mutex
		code    int
		ended   bool
		errs    []error
	)
	for _, ct := range list {
		waiters.Go(func() {
			st, err := ss.cluster.Engines()[ct.Host].Await(ctx, ss.events(ct.Host), ct.ID, func(st engine.State) (bool, error) {
				return !st.Running && st.Status != "restarting", nil
			})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case first && ended:
			case err != nil:
				errs = append(errs, err)
			default:
				fmt.Fprintf(ss.env.Stdout, "container %q exited with status code %d\n", ct.ID, st.ExitCode)
				code, ended = st.ExitCode, true
				if first {
					enough()
				}
			}
		})
	}
	waiters.Wait()
	if cause := context.Cause(ss.c.Context); cause != nil {
		return code, cause
	}
	if first && ended {
		return code, nil
	}
	return code, errors.Join(errs...)
}
