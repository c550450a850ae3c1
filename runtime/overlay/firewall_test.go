package overlay

import (
	"strings"
	"testing"

	"github.com/google/nftables"
)

func TestAFirewallThatDropsByDefaultIsNamed(t *testing.T) {
	w := newWorld(t, 1)
	h := w.hosts[0]
	inside(t, h.ns, func() {
		if got := h.o.Firewall(false); got != "" {
			t.Errorf("without a firewall: %s", got)
		}
		c, err := nftables.New()
		must(t, err)
		for name, policy := range map[string]nftables.ChainPolicy{"input": nftables.ChainPolicyDrop, "other": nftables.ChainPolicyAccept} {
			table := c.AddTable(&nftables.Table{Name: "filter", Family: nftables.TableFamilyINet})
			c.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput,
				Priority: nftables.ChainPriorityFilter, Policy: &policy})
		}
		must(t, c.Flush())
		if got := h.o.Firewall(false); !strings.Contains(got, "(chain filter input)") {
			t.Errorf("with one: %q", got)
		}
		drop := nftables.ChainPolicyDrop
		table := c.AddTable(&nftables.Table{Name: "six", Family: nftables.TableFamilyIPv6})
		c.AddChain(&nftables.Chain{Name: "in", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput,
			Priority: nftables.ChainPriorityFilter, Policy: &drop})
		must(t, c.Flush())
		if got := h.o.Firewall(false); strings.Contains(got, "six in") {
			t.Errorf("tunnels over IPv4 are not in the way of one for IPv6: %q", got)
		}
		if got := h.o.Firewall(true); !strings.Contains(got, "(chain filter input, six in)") {
			t.Errorf("with one for IPv6: %q", got)
		}
	})
}
