package cli

import (
	"context"

	"golang.org/x/sync/errgroup"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/execute"
)

// each asks about every container of a list, several at a time on a host. A container that is gone meanwhile, and a host
// that is, leave do's result as it was; the host is named.
func (ss *session) each(list []placement.Container, do func(ctx context.Context, i int, e *engine.Engine) error) error {
	g, ctx := errgroup.WithContext(ss.c.Context)
	byHost := map[string][]int{}
	for i, ct := range list {
		byHost[ct.Host] = append(byHost[ct.Host], i)
	}
	for host, indices := range byHost {
		g.Go(func() error {
			err := eachOn(ctx, ss.cluster.Engines()[host], indices, do)
			if engine.IsUnreachable(err) && ss.inv.Cluster() && ctx.Err() == nil {
				ss.unreachable([]placement.Host{{Name: host, State: placement.Unreachable, Problem: err.Error()}})
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

func eachOn(ctx context.Context, e *engine.Engine, indices []int, do func(context.Context, int, *engine.Engine) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(execute.DefaultLimits.PerHost)
	for _, i := range indices {
		g.Go(func() error {
			if err := do(ctx, i, e); !engine.IsNotFound(err) && !engine.IsConflict(err) { // not there, or not running, any more
				return err
			}
			return nil
		})
	}
	return g.Wait()
}

// everyHost asks the hosts that answered, all at once. One that has gone away meanwhile is named, and left out.
func (ss *session) everyHost(hosts []placement.Host, do func(ctx context.Context, e *engine.Engine) error) error {
	g, ctx := errgroup.WithContext(ss.c.Context)
	for _, h := range hosts {
		if h.State != placement.Ready {
			continue
		}
		g.Go(func() error {
			err := do(ctx, ss.cluster.Engines()[h.Name])
			if engine.IsUnreachable(err) && ss.inv.Cluster() && ctx.Err() == nil {
				ss.unreachable([]placement.Host{{Name: h.Name, State: placement.Unreachable, Problem: err.Error()}})
				return nil
			}
			return err
		})
	}
	return g.Wait()
}
