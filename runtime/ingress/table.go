package ingress

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// What the kernel gets, for a port 80 with two backends of which the second is remote:
//
//	table ip berth-ports {
//		map ports { type inet_proto . inet_service : verdict; elements = { tcp . 80 : jump tcp-80 } }
//		set remote { type ipv4_addr; elements = { 10.128.0.2 } }
//		chain tcp-80 { meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.128.0.1 . 8000, 1 : 10.128.0.2 . 8000 } }
//		chain prerouting {
//			type nat hook prerouting priority dstnat - 10
//			fib daddr . iif type local iifname "bt*" return
//			fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @ports
//		}
//		chain output { type nat hook output priority dstnat - 10; (the second rule) }
//		chain postrouting {
//			type nat hook postrouting priority srcnat - 10
//			ct status dnat ip daddr @remote masquerade
//			ct status dnat ip saddr 10.128.0.0/20 ip daddr 10.128.0.0/20 masquerade
//		}
//	}
//
// It comes before the engine's own translation. Only calls to addresses of the host are meant, not those of containers to
// elsewhere; and not what a container asks its gateway, where the name server listens. Loopback is the proxy's.
const (
	beforeDestination = -110 // dstnat is -100
	beforeSource      = 90   // srcnat is 100

	register   = 1 // NFT_REG_1
	registerIP = 1 // its first four bytes
	register4  = 9 // NFT_REG32_01: its second four bytes, in concatenations

	protocolTCP, protocolUDP = unix.IPPROTO_TCP, unix.IPPROTO_UDP

	statusDNAT = 1 << 5 // IPS_DST_NAT
)

// portKey is the type of a protocol with a port.
var portKey = nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService)

// target is the type of an address with a port.
var target = nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)

func table() *nftables.Table {
	return &nftables.Table{Name: TableName, Family: nftables.TableFamilyIPv4}
}

func portsMap() *nftables.Set {
	return &nftables.Set{Table: table(), Name: "ports", IsMap: true, Concatenation: true, KeyType: portKey, DataType: nftables.TypeVerdict}
}

func remoteSet() *nftables.Set {
	return &nftables.Set{Table: table(), Name: "remote", KeyType: nftables.TypeIPAddr}
}

func (p Port) chain() *nftables.Chain { return &nftables.Chain{Table: table(), Name: p.Name()} }

func (p Port) number() byte {
	if p.Protocol == "udp" {
		return protocolUDP
	}
	return protocolTCP
}

// rewrite makes the whole table anew, in one transaction.
func (i *Ingress) rewrite(s State) error {
	c, t := i.nft, table()
	c.AddTable(t)
	c.DelTable(t)
	c.AddTable(t)
	for _, p := range s.Ports {
		c.AddChain(p.chain())
	}
	ports := portsMap()
	var elements []nftables.SetElement
	for _, p := range s.Ports {
		elements = append(elements, nftables.SetElement{
			Key: []byte{p.number(), 0, 0, 0, byte(p.Published >> 8), byte(p.Published), 0, 0}, VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: p.Name()},
		})
	}
	if err := c.AddSet(ports, elements); err != nil {
		return i.abandon(err)
	}
	if err := c.AddSet(remoteSet(), nil); err != nil {
		return i.abandon(err)
	}
	dispatch := slices.Concat(
		[]expr.Any{&expr.Fib{Register: register, FlagDADDR: true, ResultADDRTYPE: true}}, equal(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)),
		[]expr.Any{
			&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: []byte{127}},
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
			&expr.Payload{DestRegister: register4, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Lookup{SourceRegister: register, IsDestRegSet: true, DestRegister: 0, SetName: ports.Name, SetID: ports.ID},
		})
	ownGateway := slices.Concat(
		[]expr.Any{&expr.Fib{Register: register, FlagDADDR: true, FlagIIF: true, ResultADDRTYPE: true}}, equal(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)),
		interfacePrefix(expr.MetaKeyIIFNAME), []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}})
	pre := i.base("prerouting", nftables.ChainHookPrerouting, beforeDestination)
	c.AddRule(&nftables.Rule{Table: t, Chain: pre, Exprs: ownGateway})
	c.AddRule(&nftables.Rule{Table: t, Chain: pre, Exprs: dispatch})
	out := i.base("output", nftables.ChainHookOutput, beforeDestination)
	c.AddRule(&nftables.Rule{Table: t, Chain: out, Exprs: dispatch})
	post := i.base("postrouting", nftables.ChainHookPostrouting, beforeSource)
	c.AddRule(&nftables.Rule{Table: t, Chain: post, Exprs: slices.Concat(translated(), address(destination),
		[]expr.Any{&expr.Lookup{SourceRegister: register, SetName: "remote"}, &expr.Masq{}})})
	for _, n := range s.Subnets {
		c.AddRule(&nftables.Rule{Table: t, Chain: post, Exprs: slices.Concat(translated(), within(source, n), within(destination, n), []expr.Any{&expr.Masq{}})})
	}
	if err := i.fill(s.Ports, s); err != nil {
		return i.abandon(err)
	}
	return i.flush()
}

// refill changes the backends of ports that have others now, in one transaction.
func (i *Ingress) refill(s State) error {
	var changed []Port
	for n, p := range s.Ports {
		if !slices.Equal(p.Backends, i.last.Ports[n].Backends) {
			changed = append(changed, p)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	for _, p := range changed {
		i.nft.FlushChain(p.chain())
	}
	i.nft.FlushSet(remoteSet())
	if err := i.fill(changed, s); err != nil {
		return i.abandon(err)
	}
	return i.flush()
}

// fill writes the rules of ports, which have none, and the remote backends of all ports.
func (i *Ingress) fill(ports []Port, s State) error {
	for _, p := range ports {
		if len(p.Backends) == 0 {
			continue // nothing listens there, and the kernel refuses
		}
		choice := &nftables.Set{Table: table(), Anonymous: true, Constant: true, IsMap: true, KeyType: nftables.TypeInteger, DataType: target}
		var elements []nftables.SetElement
		for n, b := range p.Backends {
			a := b.Addr.Addr().As4()
			elements = append(elements, nftables.SetElement{
				Key: binaryutil.BigEndian.PutUint32(uint32(n)), Val: append(a[:], byte(b.Addr.Port()>>8), byte(b.Addr.Port()), 0, 0),
			})
		}
		if err := i.nft.AddSet(choice, elements); err != nil {
			return err
		}
		i.nft.AddRule(&nftables.Rule{Table: table(), Chain: p.chain(), Exprs: slices.Concat(
			[]expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}}, equal([]byte{p.number()}),
			[]expr.Any{
				&expr.Numgen{Register: register, Modulus: uint32(len(p.Backends)), Type: unix.NFT_NG_RANDOM},
				// The library says of such a map that its keys are in network order; nft then shows them so.
				&expr.Byteorder{SourceRegister: register, DestRegister: register, Op: expr.ByteorderHton, Len: 4, Size: 4},
				&expr.Lookup{SourceRegister: register, IsDestRegSet: true, DestRegister: register, SetName: choice.Name, SetID: choice.ID},
				&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: registerIP, RegProtoMin: register4, Specified: true},
			})})
	}
	remote := map[netip.Addr]bool{}
	for _, p := range s.Ports {
		for _, b := range p.Backends {
			if !b.Local {
				remote[b.Addr.Addr()] = true
			}
		}
	}
	var elements []nftables.SetElement
	for a := range remote {
		elements = append(elements, nftables.SetElement{Key: a.AsSlice()})
	}
	if len(elements) == 0 {
		return nil
	}
	return i.nft.SetAddElements(remoteSet(), elements)
}

func (i *Ingress) base(name string, hook *nftables.ChainHook, priority nftables.ChainPriority) *nftables.Chain {
	return i.nft.AddChain(&nftables.Chain{Table: table(), Name: name, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: &priority})
}

// removeTable removes the table if it is there.
func (i *Ingress) removeTable() error {
	i.nft.AddTable(table())
	i.nft.DelTable(table())
	return i.flush()
}

// stands reports whether the table is there with its chains. Whoever flushes a ruleset takes it whole.
func (i *Ingress) stands() (bool, error) {
	chains, err := i.nft.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return false, fmt.Errorf("ingress: list chains: %w", err)
	}
	n := 0
	for _, c := range chains {
		if c.Table.Name != TableName {
			continue
		}
		n++
		if c.Hooknum != nil {
			if rules, err := i.nft.GetRules(c.Table, c); err != nil || len(rules) == 0 {
				return false, err
			}
		}
	}
	return n == len(i.last.Ports)+3, nil
}

func (i *Ingress) flush() error {
	if err := i.nft.Flush(); err != nil {
		return fmt.Errorf("ingress: write table %s: %w", TableName, err)
	}
	return nil
}

// abandon forgets what was gathered for a transaction: Apply opens another socket after an error.
func (i *Ingress) abandon(err error) error {
	return fmt.Errorf("ingress: describe table %s: %w", TableName, err)
}

// Offsets of addresses in an IPv4 header.
const source, destination = 12, 16

func equal(value []byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: value}}
}

func address(offset uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}}
}

// within compares an address with a subnet.
func within(offset uint32, n netip.Prefix) []expr.Any {
	mask := make([]byte, 4)
	binary.BigEndian.PutUint32(mask, ^uint32(0)<<(32-n.Bits()))
	return slices.Concat(address(offset), []expr.Any{
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: mask, Xor: make([]byte, 4)},
	}, equal(n.Masked().Addr().AsSlice()))
}

// translated matches flows whose destination was changed.
func translated() []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(statusDNAT), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)},
	}
}

// interfacePrefix matches berth's bridges, "bt*".
func interfacePrefix(key expr.MetaKey) []expr.Any {
	return append([]expr.Any{&expr.Meta{Key: key, Register: register}}, equal([]byte("bt"))...)
}
