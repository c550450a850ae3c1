package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// directTime is how long the direct way to a member's port may take before the relay is used: far more than a LAN's
// or VPN's round trip, and little beside the 50–100 ms that an exec costs.
const directTime = 300 * time.Millisecond

// dial reaches a member's port directly where that is open, and else through an exec in the agent of a host that
// answers.
func (c *Cluster) dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: directTime}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err == nil || ctx.Err() != nil {
		return conn, err
	}
	errs := []error{err}
	for _, host := range c.relayHosts(c.reached.Load(), addr) {
		conn, err := c.engines[host].ExecStream(ctx, AgentName, []string{"/berth", "agent", "relay", addr})
		if err == nil {
			return &relayed{conn, host}, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// relayed is a connection through a relay. One that reaches nobody is there before it finds that out.
type relayed struct {
	net.Conn
	host string
}

// Read gives what the relay complained of as the reason of its end, which by itself looks as if the member had hung up.
func (r *relayed) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	if err == nil || err == io.EOF || !errors.Is(err, io.EOF) { //nolint:errorlint // bare, it had nothing to complain of
		return n, err
	}
	why, _, _ := strings.Cut(strings.TrimSuffix(err.Error(), ": "+io.EOF.Error()), "\n")
	return n, fmt.Errorf("%s, by way of host %s", strings.TrimSpace(why[strings.LastIndex(why, ": ")+1:]), r.host)
}

// relayHosts are the hosts to try a relay on: the member itself first, then the other members, then any: the member may
// be on a host that is no longer in the inventory.
func (c *Cluster) relayHosts(a *Access, addr string) []string {
	var first, rest []string
	for i, m := range a.Members {
		if c.engines[m] == nil {
			continue
		}
		if u, err := url.Parse(a.Endpoints[i]); err == nil && u.Host == addr {
			first = append(first, m)
		} else {
			rest = append(rest, m)
		}
	}
	for _, h := range c.inv.Hosts {
		if !slices.Contains(a.Members, h.Name) {
			rest = append(rest, h.Name)
		}
	}
	return append(first, rest...)
}
