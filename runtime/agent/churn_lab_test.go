package agent_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
)

// Ten thousand times an endpoint comes, goes, moves to the other host, or takes an address that another had; half-way an
// agent is killed, and is away for a part of it. In the end each kernel has exactly what the store says.
func TestNoStaleEntryIsLeftAfterManyEndpointsCameAndWent(t *testing.T) {
	const changes, batch, slots, names = 10_000, 100, 600, 400
	b := newBed(t, 2)
	b.ready(b.put(map[string]any{ledger.NetworkKey(testNetwork): b.network()}))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	hosts := b.lab.Hosts()
	now := map[string]placement.Endpoint{} // by container
	taken := map[int]string{}              // slot → container
	slotOf := map[string]int{}
	began := time.Now()
	for done := 0; done < changes; done += batch {
		switch done {
		case changes / 2:
			b.stop(hosts[1], syscall.SIGKILL)
		case changes * 3 / 4:
			b.start(hosts[1])
		}
		puts, deletes := map[string]any{}, map[string]bool{}
		for range batch {
			name := fmt.Sprintf("shop-churn-%d", random.IntN(names))
			key := ledger.EndpointKey(placement.Endpoint{Network: testNetwork, Container: name})
			if old, there := slotOf[name]; there {
				delete(taken, old)
				delete(slotOf, name)
				delete(now, name)
				delete(puts, key)
				deletes[key] = true
				if random.IntN(2) == 0 {
					continue
				}
			}
			slot := random.IntN(slots)
			if _, used := taken[slot]; used {
				continue
			}
			ip := netip.AddrFrom4([4]byte{10, 200, byte(110 + slot/200), byte(2 + slot%200)})
			e := placement.Endpoint{Network: testNetwork, Container: name, Host: hosts[random.IntN(2)].Name(), Project: "shop",
				Service: "churn", Number: 1, IP: ip, MAC: placement.MACFor(ip)}
			taken[slot], slotOf[name], now[name], puts[key] = name, slot, e, e
			delete(deletes, key)
		}
		var gone []string
		for key := range deletes {
			gone = append(gone, key)
		}
		b.put(puts, gone...)
	}
	t.Logf("%d changes written in %s, %d endpoints are left", changes, time.Since(began).Round(time.Millisecond), len(now))

	for i, h := range hosts {
		peer := hosts[1-i]
		want := map[string]string{
			overlay.MAC{}.String():                           peer.Address(),
			overlay.BridgeMAC(peer.Name(), testVNI).String(): peer.Address(),
		}
		neighbours := map[string]string{}
		for _, e := range now {
			if e.Host != h.Name() {
				want[e.MAC] = peer.Address()
				neighbours[e.IP.String()] = e.MAC
			}
		}
		var wrong []string
		took := b.eventually(h.Name()+"'s kernel has what the store says", func() bool {
			wrong = b.differences(h.Name(), want, neighbours)
			return len(wrong) == 0
		})
		t.Logf("%s: %d entries, right %s after it was looked at first", h.Name(), len(want)+len(neighbours), took.Round(time.Millisecond))
	}
}

// differences are those of a host's tunnel and neighbour tables from what they shall be.
func (b *bed) differences(host string, routes, neighbours map[string]string) []string {
	b.t.Helper()
	have, at := map[string]string{}, map[string]string{}
	b.onNet(host, func() {
		o, err := overlay.Open(overlay.Config{})
		must(b.t, err)
		defer o.Close()
		dumps, err := o.Dump(b.t.Context())
		must(b.t, err)
		for _, d := range dumps {
			for mac, r := range d.Routes {
				var to []string
				for _, a := range r.VTEPs {
					to = append(to, a.String())
				}
				have[mac.String()] = strings.Join(to, " ")
				if _, behind := d.Behind[mac]; !behind && mac != (overlay.MAC{}) {
					have[mac.String()] += " but not behind the tunnel"
				}
			}
			for ip, mac := range d.Neighbours {
				at[ip.String()] = mac.String()
			}
		}
	})
	var out []string
	for _, t := range [][2]map[string]string{{routes, have}, {neighbours, at}} {
		for k, v := range t[0] {
			if t[1][k] != v {
				out = append(out, fmt.Sprintf("%s is %q, want %q", k, t[1][k], v))
			}
		}
		for k, v := range t[1] {
			if _, wanted := t[0][k]; !wanted {
				out = append(out, fmt.Sprintf("stale: %s is %q", k, v))
			}
		}
	}
	return out
}
