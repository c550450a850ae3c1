package execute

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"berth/runtime/engine"
	"berth/runtime/images"
	"berth/scheduler"
)

// supply is what the image steps of one run know together.
type supply struct {
	mu       sync.Mutex
	resolved map[string]*resolution // by reference
	pushed   map[string]string      // reference in the registry → "repository@sha256:…"
	sends    map[int]*sending       // by the first step of each
}

// resolution is what a moving name means for all hosts of this run.
type resolution struct {
	once   sync.Once
	digest string
	err    error
}

// sending is one image on its way to several hosts.
type sending struct {
	done   chan struct{}
	result map[string]error // by host, once done is closed
}

func (r *runner) bytes(s *scheduler.Step) func(current, total int64) {
	return func(current, total int64) {
		r.report(Report{Step: s, Phase: Working, Current: current, Total: total})
	}
}

// pull pulls an image under the name that the file has for it.
func (r *runner) pull(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	err := r.pullNamed(ctx, e, s)
	if err == nil || s.From == "" || ctx.Err() != nil {
		return err
	}
	from, known := r.world.Engines[s.From]
	if !known {
		return err
	}
	if sent := images.Send(ctx, from, []images.Target{{Engine: e, Progress: r.bytes(s)}}, s.Name)[s.Host]; sent != nil {
		return fmt.Errorf("%w; and it could not be had from host %s: %w", err, s.From, sent)
	}
	return nil
}

func (r *runner) pullNamed(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	platform := ""
	if s.Service != nil {
		platform = s.Service.Platform
	}
	source, err := r.source(ctx, e, s)
	if err != nil {
		return err
	}
	if err := e.Pull(ctx, source, platform, r.bytes(s)); err != nil {
		return err
	}
	if strings.Contains(s.Name, "@") {
		return nil
	}
	// Also where it has the name already: the engine notes when, which is how pull_policy knows an image's age.
	return e.TagImage(ctx, source, s.Name)
}

// source is what to ask the registry for: by digest where several hosts must get the same.
func (r *runner) source(ctx context.Context, e *engine.Engine, s *scheduler.Step) (string, error) {
	switch {
	case s.Digest != "":
		return s.Digest, nil
	case s.Ref != "":
		r.supply.mu.Lock()
		defer r.supply.mu.Unlock()
		if digest := r.supply.pushed[s.Ref]; digest != "" {
			return digest, nil
		}
		return s.Ref, nil
	}
	pulls := 0
	for i := range r.plan.Steps {
		if x := &r.plan.Steps[i]; x.Kind == scheduler.Pull && x.Name == s.Name && x.Digest == "" {
			pulls++
		}
	}
	if pulls < 2 || strings.Contains(s.Name, "@") {
		return s.Name, nil
	}
	r.supply.mu.Lock()
	if r.supply.resolved == nil {
		r.supply.resolved = map[string]*resolution{}
	}
	res := r.supply.resolved[s.Name]
	if res == nil {
		res = &resolution{}
		r.supply.resolved[s.Name] = res
	}
	r.supply.mu.Unlock()
	res.once.Do(func() { res.digest, res.err = e.Resolve(ctx, s.Name) })
	return res.digest, res.err
}

// build builds a service's image; with Attempt set only where the registry does not have it.
func (r *runner) build(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	if s.Attempt && r.pullNamed(ctx, e, s) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := images.Build(ctx, e, r.world.Project, s.Service, r.world.Build, func(n engine.BuildNews) {
		if n.Note != "" {
			r.note(s, []string{n.Note})
			return
		}
		r.report(Report{Step: s, Phase: Working, News: &n})
	})
	return err
}

// push pushes an image, under its name in the inventory's registry where the step has one.
func (r *runner) push(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	ref := s.Name
	if s.Ref != "" {
		ref = s.Ref
		if err := e.TagImage(ctx, s.Name, ref); err != nil {
			return err
		}
	}
	digest, err := e.Push(ctx, ref, r.bytes(s))
	if err != nil {
		return err
	}
	r.supply.mu.Lock()
	defer r.supply.mu.Unlock()
	if r.supply.pushed == nil {
		r.supply.pushed = map[string]string{}
	}
	r.supply.pushed[ref] = digest
	return nil
}

// send waits for all steps that carry the same image from the same host, and carries it to them at once: the first to
// come does it for all.
func (r *runner) send(ctx context.Context, s *scheduler.Step) error {
	together := r.together(s)
	if together[0] != s.ID {
		return r.await(ctx, together[0], s.Host)
	}
	result := map[string]error{}
	defer r.finish(s.ID, result)
	from, err := r.engine(s.From)
	var targets []images.Target
	for _, id := range together {
		x := &r.plan.Steps[id]
		to, unknown := r.engine(x.Host)
		if unknown = errors.Join(err, unknown); unknown != nil {
			result[x.Host] = unknown
			continue
		}
		targets = append(targets, images.Target{Engine: to, Progress: r.bytes(x)})
	}
	if len(targets) > 0 {
		maps.Copy(result, images.Send(ctx, from, targets, s.Name))
	}
	return result[s.Host]
}

// together lists the steps that one reading of the image serves, in the plan's order.
func (r *runner) together(s *scheduler.Step) []int {
	var ids []int
	for i := range r.plan.Steps {
		x := &r.plan.Steps[i]
		if x.Kind == scheduler.Send && x.From == s.From && x.Name == s.Name && slices.Equal(x.After, s.After) {
			ids = append(ids, i)
		}
	}
	return ids
}

// sent is where the steps of a sending wait for the first of them.
func (r *runner) sent(id int) *sending {
	r.supply.mu.Lock()
	defer r.supply.mu.Unlock()
	if r.supply.sends == nil {
		r.supply.sends = map[int]*sending{}
	}
	if r.supply.sends[id] == nil {
		r.supply.sends[id] = &sending{done: make(chan struct{})}
	}
	return r.supply.sends[id]
}

func (r *runner) finish(id int, result map[string]error) {
	s := r.sent(id)
	s.result = result
	close(s.done)
}

func (r *runner) await(ctx context.Context, id int, host string) error {
	s := r.sent(id)
	select {
	case <-s.done:
		return s.result[host]
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
