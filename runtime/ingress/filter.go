package ingress

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// Comment is on the rules that berth puts into the engine's chain.
const Comment = "berth: ports in mode ingress"

// Engines drop by default what a host forwards, and accept for each bridge what they published themselves. A table of
// ours cannot overrule that: in nftables "accept" ends only its own table's judgement. The chain DOCKER-USER is there for
// others' rules, and berth puts two at its end, behind whatever an administrator has there, so that his refusals hold:
//
//	-A DOCKER-USER -o bt+ -m conntrack --ctstate DNAT -j ACCEPT
//	-A DOCKER-USER -i bt+ -m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT
//
// The second is for answers to containers of other networks of the same host, which the engine keeps apart. They are in
// the form that iptables itself gives them, so that every iptables can list and change the table.
const (
	filterTable = "filter"
	filterChain = "DOCKER-USER"
)

// conntrackRules are the conditions of the two, in order: of what goes to a bridge, and of what comes from one.
func conntrackRules() []xt.ConntrackMtinfo3 {
	var to, from xt.ConntrackMtinfo3
	to.MatchFlags, to.StateMask = uint16(xt.ConntrackState), xtStateDNAT
	from = to
	from.MatchFlags |= uint16(xt.ConntrackDirection)
	from.InvertFlags = uint16(xt.ConntrackDirection) // REPLY is "not ORIGINAL" (xt_conntrack.c)
	return []xt.ConntrackMtinfo3{to, from}
}

// filterRules are the two as nftables has them.
func filterRules() [][]expr.Any {
	comment := xt.Comment(Comment)
	var all [][]expr.Any
	for n, c := range conntrackRules() {
		key := []expr.MetaKey{expr.MetaKeyOIFNAME, expr.MetaKeyIIFNAME}[n]
		all = append(all, append(interfacePrefix(key), &expr.Match{Name: "conntrack", Rev: 3, Info: &c},
			&expr.Match{Name: "comment", Info: &comment}, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}))
	}
	return all
}

// xtStateDNAT is XT_CONNTRACK_STATE_DNAT (linux/netfilter/xt_conntrack.h): 1 << (IP_CT_NUMBER + 2).
const xtStateDNAT = 1 << 7

// engineChain finds the engine's chain; nil where the engine has none, or has it elsewhere.
func (i *Ingress) engineChain() (*nftables.Chain, []*nftables.Rule, error) {
	chains, err := i.nft.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return nil, nil, fmt.Errorf("ingress: list chains: %w", err)
	}
	n := slices.IndexFunc(chains, func(c *nftables.Chain) bool { return c.Table.Name == filterTable && c.Name == filterChain })
	if n < 0 {
		return nil, nil, nil
	}
	chain := chains[n]
	chain.Table.Family = nftables.TableFamilyIPv4
	rules, err := i.nft.GetRules(chain.Table, chain)
	if err != nil {
		return nil, nil, fmt.Errorf("ingress: list the rules of %s: %w", filterChain, err)
	}
	return chain, rules, nil
}

// ensureFilter puts the rules there that are missing.
func (i *Ingress) ensureFilter() error {
	if err := i.legacy(true); err != nil {
		return err
	}
	chain, rules, err := i.engineChain()
	if err != nil || chain == nil {
		return err
	}
	wanted := filterRules()
	var ours, end []*nftables.Rule
	for _, r := range rules {
		switch {
		case isOurs(r):
			ours = append(ours, r)
		case isReturn(r):
			end = append(end, r)
		}
	}
	if len(ours) == len(wanted) {
		return nil
	}
	for _, r := range ours {
		if err := i.nft.DelRule(r); err != nil {
			return i.abandon(err)
		}
	}
	for _, exprs := range wanted {
		r := &nftables.Rule{Table: chain.Table, Chain: chain, Exprs: exprs}
		if len(end) > 0 {
			r.Position = end[len(end)-1].Handle
			i.nft.InsertRule(r)
		} else {
			i.nft.AddRule(r)
		}
	}
	return i.flushFilter()
}

// removeFilter takes the rules away.
func (i *Ingress) removeFilter() error {
	if err := i.legacy(false); err != nil {
		return err
	}
	chain, rules, err := i.engineChain()
	if err != nil || chain == nil {
		return err
	}
	found := false
	for _, r := range rules {
		if isOurs(r) {
			found = true
			if err := i.nft.DelRule(r); err != nil {
				return i.abandon(err)
			}
		}
	}
	if !found {
		return nil
	}
	return i.flushFilter()
}

func (i *Ingress) flushFilter() error {
	if err := i.nft.Flush(); err != nil {
		return fmt.Errorf("ingress: write the rules of %s: %w", filterChain, err)
	}
	return nil
}

func isOurs(r *nftables.Rule) bool {
	return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
		m, ok := e.(*expr.Match)
		if !ok || m.Name != "comment" {
			return false
		}
		c, ok := m.Info.(*xt.Comment)
		return ok && strings.TrimRight(string(*c), "\x00") == Comment
	})
}

// isReturn reports whether a rule is the one that ends the engine's chain: return, on no condition.
func isReturn(r *nftables.Rule) bool {
	returns := false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter:
		case *expr.Verdict:
			returns = e.Kind == expr.VerdictReturn
		default:
			return false
		}
	}
	return returns
}
