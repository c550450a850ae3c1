package embeddedtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"berth/runtime/store/embedded"
	"berth/runtime/store/storetest"
)

// memberEnv makes the test binary a member of a store: its configuration as JSON.
const memberEnv = "BERTH_TEST_STORE_MEMBER"

// Apart is an embedded store whose members are processes, each in a network namespace of its own, so that they can be
// killed, stopped and cut off.
type Apart struct {
	*Cluster
	members []*apart
}

// apart is one member.
type apart struct {
	storetest.Process
	port string // its end of the wire to the others, on the switch
}

// subnet is the members' network, on a bridge of the machine's. It is one of those for documentation (RFC 5737), which
// no machine routes.
var subnet = netip.MustParsePrefix("198.51.100.0/24")

// StartApart starts n members apart from each other, with empty data folders; they and their network end with the test.
// The test binary's TestMain must be VerifyTestMain. It needs root.
func StartApart(t testing.TB, n int) *Apart {
	t.Helper()
	tag := fmt.Sprintf("%05d", os.Getpid()%100_000)
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "bts" + tag}}
	if err := netlink.LinkAdd(bridge); err != nil {
		t.Fatalf("make a bridge for the store's members (are you root?): %v", err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(bridge); err != nil {
			t.Error(err)
		}
	})
	here := netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits())
	if err := address(bridge, here); err != nil {
		t.Fatal(err)
	}
	a := &Apart{Cluster: New(t, n)}
	addr := here.Addr()
	for i := range n {
		addr = addr.Next()
		cfg := &a.Configs[i]
		cfg.ClientURL, cfg.PeerURL = "https://"+netip.AddrPortFrom(addr, 2379).String(), "https://"+netip.AddrPortFrom(addr, 2380).String()
		for j := range a.Configs {
			a.Configs[j].Initial[cfg.Name] = cfg.PeerURL // one map, shared
		}
	}
	addr = here.Addr()
	for i := range n {
		addr = addr.Next()
		m := &apart{port: fmt.Sprintf("bts%s.%d", tag, i)}
		m.Name = a.Configs[i].Name
		m.Command = func() *exec.Cmd { return member(t, a.Configs[i]) }
		m.Started = m.wire(bridge.Index, netip.PrefixFrom(addr, subnet.Bits()))
		a.members = append(a.members, m)
		if err := m.Start(t); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// member is the command that runs one: this program again, in a new network namespace. It waits for its wire.
func member(t testing.TB, cfg embedded.Config) *exec.Cmd {
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), memberEnv+"="+string(b))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	return cmd
}

// wire joins the network namespace of a member's process with the bridge. One of an earlier process goes with that.
func (m *apart) wire(bridge int, at netip.Prefix) func(pid int) error {
	return func(pid int) error {
		if old, err := netlink.LinkByName(m.port); err == nil {
			_ = netlink.LinkDel(old) // its namespace may not be gone yet
		}
		veth := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: m.port, MasterIndex: bridge},
			PeerName:  "eth0", PeerNamespace: netlink.NsPid(pid),
		}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("wire %s: %w", m.Name, err)
		}
		if err := netlink.LinkSetUp(veth); err != nil {
			return fmt.Errorf("wire %s: %w", m.Name, err)
		}
		return enter(pid, at)
	}
}

// Faults are what the members can be made to suffer.
func (a *Apart) Faults() []storetest.Fault {
	var all []storetest.Fault
	for _, m := range a.members {
		all = append(all, m.Faults()...)
		all = append(all, storetest.Fault{
			On: m.Name, Name: "cut off",
			Inflict: func(context.Context) error { return m.set(netlink.LinkSetDown) },
			Heal:    func(context.Context) error { return m.set(netlink.LinkSetUp) },
		})
	}
	return all
}

// set switches the member's wire.
func (m *apart) set(how func(netlink.Link) error) error {
	l, err := netlink.LinkByName(m.port)
	if err != nil {
		return fmt.Errorf("wire of %s: %w", m.Name, err)
	}
	return how(l)
}

func address(l netlink.Link, at netip.Prefix) error {
	addr, err := netlink.ParseAddr(at.String())
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(l, addr); err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

// runMember is a member's process; it ends by being killed.
func runMember(config string) error {
	var cfg embedded.Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		return err
	}
	cfg.Log = os.Stderr
	if err := awaitAddress(strings.TrimPrefix(cfg.PeerURL, "https://")); err != nil {
		return err
	}
	s, err := embedded.Start(context.Background(), cfg)
	if err != nil {
		return err
	}
	return <-s.Err()
}
