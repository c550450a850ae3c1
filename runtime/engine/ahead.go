package engine

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"
)

// aheadLife is how old lists may get that were asked for ahead: a file may be read from a terminal.
const aheadLife = time.Second

// Ahead is the part of an observation that is the same for every project, asked for while it is not known yet which one
// it will be. See Query.Ahead.
type Ahead struct {
	since time.Time
	came  chan struct{}
	lists lists
	err   error
}

// lists are an engine's containers and networks, those of all projects.
type lists struct {
	containers []container.Summary
	networks   []network.Summary
}

// Ahead begins to list what an observation lists. It ends with ctx, which whoever begins it must end.
func (e *Engine) Ahead(ctx context.Context) *Ahead {
	a := &Ahead{since: time.Now(), came: make(chan struct{})}
	go func() {
		defer close(a.came)
		if _, a.err = e.version(ctx); a.err == nil {
			a.err = a.lists.ask(ctx, e, true)
		}
	}()
	return a
}

// Wait waits until the lists are there or will not come.
func (a *Ahead) Wait() { <-a.came }

// fresh are the lists, if they came and are not too old; ok is false without any.
func (a *Ahead) fresh(ctx context.Context) (l lists, ok bool) {
	if a == nil || time.Since(a.since) > aheadLife {
		return lists{}, false
	}
	select {
	case <-a.came:
		return a.lists, a.err == nil
	case <-ctx.Done():
		return lists{}, false
	}
}

// ask asks the engine for the containers, and for the networks if they matter.
func (l *lists) ask(ctx context.Context, e *Engine, networks bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		l.containers, err = e.api.ContainerList(ctx, container.ListOptions{All: true})
		return err
	})
	if networks {
		g.Go(func() (err error) {
			l.networks, err = e.api.NetworkList(ctx, network.ListOptions{})
			return err
		})
	}
	return g.Wait()
}
