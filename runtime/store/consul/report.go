package consul

import (
	"context"
	"errors"
	"net"
	"slices"

	"github.com/hashicorp/consul/api"

	"berth/runtime/store"
)

// Servers are those of hosts.yml, which may be agents that pass everything on.
func (b *backend) Servers() []string { return b.cfg.Servers }

// Server asks one who leads, and who it is; the latter needs agent:read of the token, and is left out without.
func (b *backend) Server(ctx context.Context, addr string) (store.Server, error) {
	var s store.Server
	c := b.clients[slices.Index(b.cfg.Servers, addr)]
	q := (&api.QueryOptions{}).WithContext(ctx)
	leader, err := c.Status().LeaderWithQueryOptions(q)
	if err != nil {
		return s, b.explain(err)
	}
	if leader == "" {
		return s, errors.New("it has no leader")
	}
	var self struct {
		Config struct {
			Version string
			Server  bool
		}
		Member struct {
			Addr string
			Tags map[string]string
		}
	}
	if _, err := c.Raw().Query("/v1/agent/self", &self, q); err != nil {
		return s, nil //nolint:nilerr // it serves; who it is, it says only to some
	}
	s.Version, s.Role = self.Config.Version, "follower"
	switch {
	case !self.Config.Server:
		s.Role = "agent"
	case net.JoinHostPort(self.Member.Addr, self.Member.Tags["port"]) == leader:
		s.Role, s.Leader = "leader", true
	}
	return s, nil
}
