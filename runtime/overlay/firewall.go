package overlay

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// Firewall returns a sentence for the log when the host's firewall drops by default what comes in, and "" otherwise.
// Names (port 53 on the bridges) and tunnels (UDP 4789) come in there, and a rule has to let them: berth cannot make
// one by itself, because in nftables an "accept" ends only its own table's judgement, and rules put into a table that
// iptables manages make older iptables refuse the whole table. A policy set with iptables-legacy is not seen here. six says
// that tunnels come in over IPv6; names are asked for over IPv4.
func (o *Overlay) Firewall(six bool) string {
	c, err := nftables.New()
	if err != nil {
		return ""
	}
	chains, err := c.ListChains()
	if err != nil {
		return ""
	}
	var dropping []string
	for _, ch := range chains {
		if ch.Hooknum != nil && *ch.Hooknum == *nftables.ChainHookInput && ch.Type == nftables.ChainTypeFilter &&
			ch.Policy != nil && *ch.Policy == nftables.ChainPolicyDrop {
			if f := ch.Table.Family; f == nftables.TableFamilyIPv4 || f == nftables.TableFamilyINet || six && f == nftables.TableFamilyIPv6 {
				dropping = append(dropping, ch.Table.Name+" "+ch.Name)
			}
		}
	}
	if dropping == nil {
		return ""
	}
	slices.Sort(dropping)
	return fmt.Sprintf("the host's firewall drops incoming packets by default (chain %s); unless they are there already, add rules that "+
		"accept UDP port %d from the other hosts, UDP and TCP port 53 on interfaces bt+ for names, and for encrypted networks their UDP port (23581) "+
		"and everything on interface berthwg0", strings.Join(slices.Compact(dropping), ", "), Port)
}
