package overlay

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Bridged frames pass the host's firewall (br_netfilter) when the namespace's switch bridge-nf-call-iptables is on or
// the bridge's own nf_call_iptables is. That costs 10–18 % of TCP, so on berth's bridges it is off unless a network
// isolates its containers (icc=false) or the engine runs without its userland proxy. The namespace's switch has to be
// off for that, and every *other* bridge then gets its own switched on, or the engine's icc=false networks would
// silently be open.
//
// A namespace where the administrator has the switch off already is left alone: there, switching bridges on would
// filter what never was, virtual machines for one.

// netfilterSwitch is bridge-nf-call-iptables of the calling thread's network namespace.
const netfilterSwitch = "/proc/sys/net/bridge/bridge-nf-call-iptables"

// filter sets the switches; wanted is false while there are no networks, and undoes it.
func (o *Overlay) filter(links []Link, wanted bool) {
	value, err := os.ReadFile(netfilterSwitch)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) { // without br_netfilter there is nothing to switch
			o.filterTrouble(err)
		}
		return
	}
	on := strings.TrimSpace(string(value)) == "1"
	ours := o.switched || o.markedThisBoot()
	switch {
	case !wanted && ours && !on:
		o.setSwitch("1")
		o.unmark()
	case wanted && (on || ours):
		if on && !writable(netfilterSwitch) {
			o.filterTrouble(fs.ErrPermission)
			return
		}
		if !o.filterOthers(links) || !on {
			return
		}
		o.mark() // first, so that a crash in between does not take our zero for the administrator's
		o.setSwitch("0")
	}
}

// filterOthers switches filtering on for every bridge that is not berth's.
func (o *Overlay) filterOthers(links []Link) bool {
	for _, l := range links {
		_, named := vniOf(l.Name, "bt")
		if l.Kind != "bridge" || named || !l.HasFilter || l.Filter {
			continue
		}
		data := appendAttr(nil, nl.IFLA_BR_NF_CALL_IPTABLES, u8(true))
		m := append(ifinfo(unix.AF_UNSPEC, l.Index, 0), linkInfo("bridge", data)...)
		if err := o.conn.one(message{unix.RTM_NEWLINK, 0, m}); err != nil && !gone(err) {
			o.log.Warn("bridge netfilter stays on for all bridges", "bridge", l.Name, "err", err)
			return false
		}
	}
	return true
}

func (o *Overlay) setSwitch(value string) {
	if err := os.WriteFile(netfilterSwitch, []byte(value), 0); err != nil {
		o.filterTrouble(err)
		return
	}
	o.switched = value == "0"
	o.log.Info("bridge netfilter switched", "bridge-nf-call-iptables", value)
}

func (o *Overlay) filterTrouble(err error) {
	o.filterLog.Do(func() {
		o.log.Info("bridge netfilter stays as it is, which costs 10–18 % of TCP between containers", "err", err)
	})
}

func writable(path string) bool { return unix.Access(path, unix.W_OK) == nil }

// userlandProxyOff tells from what the engine did to a bridge whether it runs with userland-proxy=false: only then it
// lets the bridge route loopback addresses. A container that calls its neighbour's published port then depends on the
// firewall seeing bridged traffic.
func userlandProxyOff(bridge string) bool {
	value, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + bridge + "/route_localnet")
	return err == nil && strings.TrimSpace(string(value)) == "1"
}

// markedThisBoot reports whether the marker says that berth switched bridge netfilter off since the last boot.
func (o *Overlay) markedThisBoot() bool {
	if o.marker == "" {
		return false
	}
	value, err := os.ReadFile(o.marker)
	return err == nil && string(value) == bootID()
}

func (o *Overlay) mark() {
	o.switched = true
	if o.marker == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(o.marker), 0o755); err == nil {
		err = os.WriteFile(o.marker, []byte(bootID()), 0o644)
		if err == nil {
			return
		}
		o.log.Warn("bridge netfilter: remember that it was switched off", "err", err)
	}
}

func (o *Overlay) unmark() {
	o.switched = false
	if o.marker != "" {
		_ = os.Remove(o.marker)
	}
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
