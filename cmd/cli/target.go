package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"berth/placement"
	"berth/runtime/engine"
)

// target is what a word of the command line means: a service, or one replica of it.
type target struct {
	word    string // as it was typed
	service string
	number  int // 0: any
}

// target reads SERVICE or SERVICE.N, with the value of --index (0: not given).
func (ss *session) target(word string, index int) (target, error) {
	t := target{word: word, service: word, number: index}
	task, err := placement.ParseTask(word)
	if err != nil || ss.project != nil && ss.project.Service(word) != nil {
		return t, nil // a service's own name may end in .N too
	}
	if index != 0 && index != task.Number {
		return t, fmt.Errorf("%s: %s names replica %d and --index %d another; give one", ss.c.Command.Name, word, task.Number, index)
	}
	t.service, t.number = task.Service, task.Number
	return t, nil
}

// chosen is the container that the first argument and --index mean, whether it runs or not.
func (ss *session) chosen() (placement.Container, error) {
	t, err := ss.target(ss.c.Args().First(), ss.c.Int("index"))
	if err != nil {
		return placement.Container{}, err
	}
	list, err := ss.matching(ss.c.Context, t, false)
	if err != nil {
		return placement.Container{}, err
	}
	return list[0], nil
}

// matching lists the containers that a target means, on whatever hosts: replicas by number, then one-offs. With running
// set, only those that run.
func (ss *session) matching(ctx context.Context, t target, running bool) ([]placement.Container, error) {
	list, hosts, err := ss.containers(ctx, []string{t.service})
	if err != nil {
		return nil, err
	}
	others := len(list) > 0 && !slices.ContainsFunc(list, func(c placement.Container) bool { return c.Task.Number == t.number })
	list = slices.DeleteFunc(list, func(c placement.Container) bool {
		return t.number > 0 && c.Task.Number != t.number || running && !c.Running()
	})
	slices.SortStableFunc(list, func(a, b placement.Container) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Task.Number, b.Task.Number))
	})
	if len(list) == 0 {
		return nil, ss.absent(t, hosts, running, others)
	}
	return list, nil
}

func rank(c placement.Container) int {
	if c.OneOff {
		return 1
	}
	return 0
}

// absent says that a target has no container, in docker compose's words, and that hosts which do not answer may have one.
// others says that the service has containers of other numbers.
func (ss *session) absent(t target, hosts []placement.Host, running, others bool) error {
	text := fmt.Sprintf("no container found for service %q", t.service)
	if running {
		text = fmt.Sprintf("service %q is not running", t.service)
	}
	if t.number > 0 {
		text += fmt.Sprintf(" container #%d", t.number)
	}
	var silent []string
	for _, h := range hosts {
		if h.State != placement.Ready {
			silent = append(silent, fmt.Sprintf("host %s does not answer, what runs there is not known: %s", h.Name, h.Problem))
		}
	}
	if len(silent) > 0 {
		return fmt.Errorf("%s: %s", text, strings.Join(silent, "; "))
	}
	if ss.project != nil && ss.project.Service(t.service) == nil && !slices.Contains(ss.project.Disabled, t.service) {
		return fmt.Errorf("%s; the project has %s", text, strings.Join(serviceNames(ss.project), ", "))
	}
	switch {
	case !running:
		return errors.New(text)
	case t.number > 0 && others:
		return fmt.Errorf("%s; \"berth ps %s\" lists those that there are", text, t.service)
	}
	return fmt.Errorf("%s; start it with \"berth up -d %s\"", text, t.service)
}

// running is the container that a command works in: the lowest running replica, or the one that the target names.
func (ss *session) running(ctx context.Context, t target) (placement.Container, error) {
	list, err := ss.matching(ctx, t, true)
	if err != nil {
		return placement.Container{}, err
	}
	return list[0], nil
}

// within gives a context that ends with ctx, or when the host has not answered for some time: a connection that died in
// silence looks like a process with nothing to say.
func (ss *session) within(ctx context.Context, host string) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	if !ss.inv.Cluster() {
		return ctx, func() { end(nil) } // the user sits beside the engine
	}
	forget := ss.events(host).Subscribe(func(ev engine.Event) bool {
		if ev.Type == engine.Lost {
			end(fmt.Errorf("%s: host %s does not answer any more: %s", ss.c.Command.Name, host, ev.Attributes["error"]))
		}
		return false
	})
	return ctx, func() { forget(); end(nil) }
}
