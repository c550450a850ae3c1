package engine

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"berth/fixtures/lab/lab"
	"berth/placement"
)

// BenchmarkEngine measures what a command's time is made of, on one real engine: go test -bench Engine -benchtime 3x.
func BenchmarkEngine(b *testing.B) {
	l := lab.Start(b, lab.Images(lab.Busybox))
	e, err := Connect(placement.InventoryHost{Name: "host1", Address: l.Hosts()[0].EngineURL()})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	ctx := b.Context()
	p := &placement.Project{Name: "shop", Dir: "/", Networks: []*placement.NetworkSpec{{Key: "default", Name: "shop_default"}}}
	svc := serviceOf("web")
	p.Services = append(p.Services, svc)
	const n = 50
	if _, err := e.CreateNetwork(ctx, p, p.Networks[0]); err != nil {
		b.Fatal(err)
	}
	ids := make([]string, n)
	each := func(f func(ctx context.Context, i int) error) {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(12)
		for i := range n {
			g.Go(func() error { return f(ctx, i) })
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	create := func(ctx context.Context, i int) (err error) {
		name := fmt.Sprintf("shop-web-%d", i+1)
		ids[i], _, err = e.Create(ctx, CreateSpec{Project: p, Service: svc, Task: placement.Task{Service: "web", Number: i + 1}, Name: name})
		return err
	}
	remove := func(ctx context.Context, i int) error { return e.Remove(ctx, ids[i], true) }
	b.Run("create 50", func(b *testing.B) {
		for range b.N {
			each(create)
			b.StopTimer()
			each(remove)
			b.StartTimer()
		}
	})
	each(create)
	b.Run("observe 50 stopped", func(b *testing.B) {
		for range b.N {
			if _, err := e.Observe(ctx, Query{Project: "shop", Compose: p}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("start 50", func(b *testing.B) {
		for range b.N {
			each(func(ctx context.Context, i int) error { return e.Start(ctx, ids[i]) })
			b.StopTimer()
			each(func(ctx context.Context, i int) error { return e.Kill(ctx, ids[i], "") })
			b.StartTimer()
		}
	})
	each(func(ctx context.Context, i int) error { return e.Start(ctx, ids[i]) })
	b.Run("observe 50 running", func(b *testing.B) {
		for range b.N {
			if _, err := e.Observe(ctx, Query{Project: "shop", Compose: p}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("observe light", func(b *testing.B) {
		for range b.N {
			if _, err := e.Observe(ctx, Query{Project: "shop", Light: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("image ID", func(b *testing.B) {
		for range b.N {
			if _, err := e.ImageID(ctx, lab.Busybox); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("look at a container", func(b *testing.B) {
		for range b.N {
			if _, err := e.State(ctx, ids[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("describe the engine", func(b *testing.B) {
		for range b.N {
			if _, err := e.api.Info(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	each(remove)
	if err := e.RemoveNetwork(ctx, "shop_default"); err != nil {
		b.Error(err)
	}
}
