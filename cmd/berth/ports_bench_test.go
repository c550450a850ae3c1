package main_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"berth/fixtures/lab/lab"
)

// BenchmarkPortConvergence starts and kills a task of a service whose port every host answers. It reports how long after
// the engine says that the task runs, or has ended, it is in or out of a host's choice, over all hosts:
//
//	go test ./cmd/berth -run '^$' -bench PortConvergence -benchtime 50x
func BenchmarkPortConvergence(b *testing.B) {
	w := &world{lab: lab.Start(b, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))}
	w.prepare(b, base+`
services:
  web:
    <<: *base
    ports: [{target: 80, published: 18083, mode: ingress}]
    deploy: {replicas: 3}
`)
	w.benchmarked(b, "up", "-d")
	b.Cleanup(func() { w.benchmarked(b, "down", "-t", "0") })
	h := w.lab.Hosts()[0]
	name := w.project + "-web-1"
	ask := func(format string) string {
		out, err := h.Run(b.Context(), "docker", "inspect", "-f", format, name)
		if err != nil {
			b.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	ip := netip.MustParseAddr(ask(fmt.Sprintf(`{{(index .NetworkSettings.Networks %q).IPAddress}}`, w.project+"_default")))
	times := map[string][]time.Duration{}
	for b.Loop() {
		for _, turn := range []struct{ name, command, at string }{{"out", "kill", "{{.State.FinishedAt}}"}, {"in", "start", "{{.State.StartedAt}}"}} {
			seen := make([]time.Time, len(w.lab.Hosts()))
			var all sync.WaitGroup
			for i, h := range w.lab.Hosts() {
				all.Go(func() { seen[i] = chosen(b, h, ip, turn.name == "in") })
			}
			if _, err := h.Run(b.Context(), "docker", turn.command, name); err != nil {
				b.Fatal(err)
			}
			all.Wait()
			began, err := time.Parse(time.RFC3339Nano, ask(turn.at))
			if err != nil {
				b.Fatal(err)
			}
			for _, at := range seen {
				times[turn.name] = append(times[turn.name], at.Sub(began))
			}
		}
	}
	for what, all := range times {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms-"+what)
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms-"+what)
	}
}

// chosen waits until an address is, or is not, among those that a host chooses from, and returns when that was.
func chosen(b *testing.B, h *lab.Host, ip netip.Addr, want bool) time.Time {
	ns, err := h.NetNS()
	if err != nil {
		b.Error(err)
		return time.Now()
	}
	defer ns.Close()
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.Fd())), nftables.AsLasting())
	if err != nil {
		b.Error(err)
		return time.Now()
	}
	defer func() { _ = c.CloseLasting() }()
	ctx, cancel := context.WithTimeout(b.Context(), lab.Patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if inChoice(c, ip) == want {
			return time.Now()
		}
		select {
		case <-ctx.Done():
			b.Errorf("%s: %s is not as it should be", h.Name(), ip)
			return time.Now()
		case <-tick.C:
		}
	}
}

func inChoice(c *nftables.Conn, ip netip.Addr) bool {
	t := &nftables.Table{Name: "berth-ports", Family: nftables.TableFamilyIPv4}
	rules, err := c.GetRules(t, &nftables.Chain{Table: t, Name: "tcp-18083"})
	if err != nil {
		return false
	}
	for _, r := range rules {
		for _, e := range r.Exprs {
			l, ok := e.(*expr.Lookup)
			if !ok {
				continue
			}
			elements, err := c.GetSetElements(&nftables.Set{Table: t, Name: l.SetName})
			if err != nil {
				return false
			}
			for _, x := range elements {
				if len(x.Val) >= 4 && netip.AddrFrom4([4]byte(x.Val[:4])) == ip {
					return true
				}
			}
		}
	}
	return false
}

// prepare is newWorld for benchmarks.
func (w *world) prepare(b *testing.B, compose string) {
	b.Helper()
	w.dir, w.project = b.TempDir(), "benchports"
	w.env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + w.dir, "XDG_CACHE_HOME=" + w.dir, "COMPOSE_PROJECT_NAME=" + w.project, "BERTH_INVENTORY=" + w.lab.Inventory()}
	writeFile(b, w.dir+"/compose.yml", compose)
}

func (w *world) benchmarked(b *testing.B, args ...string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	if out, err := w.command(ctx, args...).CombinedOutput(); err != nil {
		b.Fatalf("berth %v: %v\n%s", args, err, out)
	}
}

func writeFile(b *testing.B, path, content string) {
	b.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		b.Fatal(err)
	}
}
