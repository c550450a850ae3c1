package overlay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Change is a difference of one network that stands already. Drops are done before puts, so an endpoint whose host
// changed needs only to be put; one that is now on this host must be dropped before its container starts.
type Change struct {
	VNI       uint32
	DropPeers []netip.Addr
	AddPeers  []netip.Addr
	Drop      []Endpoint // VTEP is not looked at
	Put       []Endpoint
}

// ErrNoNetwork says that a change names a network whose links are not there: Reconcile makes them.
var ErrNoNetwork = errors.New("the network's links are not there")

// Apply writes changes without reading the kernel's tables: some microseconds an entry. What is already as wanted is
// no error. After any error the kernel may have part of the changes, and Reconcile mends it.
func (o *Overlay) Apply(ctx context.Context, changes ...Change) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	var msgs []message
	var errs []error
	for _, c := range changes {
		i, ok := o.links[c.VNI]
		if !ok {
			errs = append(errs, fmt.Errorf("overlay: change network %d: %w", c.VNI, ErrNoNetwork))
			continue
		}
		for _, p := range c.DropPeers {
			msgs = append(msgs, dropTunnelEntry(i.tunnel, MAC{}, p))
		}
		for _, e := range c.Drop {
			msgs = append(msgs, drop(i, e)...)
		}
		for _, p := range c.AddPeers {
			msgs = append(msgs, tunnelEntry(i.tunnel, MAC{}, p))
		}
		for _, e := range c.Put {
			msgs = append(msgs, put(i, e)...)
		}
	}
	return errors.Join(append(errs, o.write(msgs))...)
}

// write sends entry messages; it returns the first failure and says how many there were.
func (o *Overlay) write(msgs []message) error {
	var first error
	failed := 0
	for i, err := range o.batch(msgs) {
		if err == nil || msgs[i].kind == unix.RTM_DELNEIGH && gone(err) {
			continue
		}
		if failed++; first == nil {
			first = err
		}
	}
	if first != nil {
		return fmt.Errorf("overlay: write forwarding entries: %d of %d failed, the first: %w", failed, len(msgs), first)
	}
	return nil
}

// gone reports whether a deletion failed because there was nothing to delete.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ESRCH)
}
