package faults_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// calls checks that each task reaches each other that it shares a network with, by the container's name and nothing but
// its address, and neither name nor address of the rest.
func (f *findings) calls(tasks []task) {
	var wg sync.WaitGroup
	for _, from := range tasks {
		wg.Go(func() {
			err := inside(from.proc, func() error {
				p, err := newPinger()
				if err != nil {
					return err
				}
				defer p.conn.Close()
				for _, to := range tasks {
					if to.name == from.name && to.host == from.host {
						continue
					}
					if err := from.calls(p, to); err != nil {
						f.add("%s on %s calls %s on %s: %v", from.name, from.host.Name(), to.name, to.host.Name(), err)
					}
				}
				return nil
			})
			if err != nil {
				f.add("%s on %s: %v", from.name, from.host.Name(), err)
			}
		})
	}
	wg.Wait()
}

// calls asks for the other one's name and sends to its addresses. It must run inside.
func (t task) calls(p *pinger, to task) error {
	shared := map[netip.Addr]bool{}
	for network, ip := range to.networks {
		if _, here := t.networks[network]; here {
			shared[ip] = true
		}
	}
	var addrs []netip.Addr
	var err error
	if t.guest {
		addrs = slices.Collect(maps.Keys(shared))
	} else if addrs, err = resolve(to.name); err != nil {
		return err
	}
	if len(shared) == 0 {
		if len(addrs) > 0 {
			return fmt.Errorf("they share no network, and its name is answered with %v", addrs)
		}
		return t.cannotReach(p, to)
	}
	if !t.guest && len(addrs) != 1 || !shared[addrs[0]] {
		return fmt.Errorf("its name is answered with %v, want one of %v", addrs, shared)
	}
	began := time.Now()
	for err = p.ping(addrs[0]); err != nil && time.Since(began) < time.Second; {
		err = p.ping(addrs[0])
	}
	return err
}

// cannotReach checks that one address of a network that the task is not on does not answer.
func (t task) cannotReach(p *pinger, to task) error {
	for network, ip := range to.networks {
		if p.ping(ip) == nil {
			return fmt.Errorf("they share no network, and %s on %s answers", ip, network)
		}
	}
	return nil
}
