package wireguard

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth/runtime/overlay"
)

// correct gives the link what it shall have beside keys and peers: device group, MTU, both addresses, and that it is up.
func (d *Device) correct(w Want, link netlink.Link) error {
	a := link.Attrs()
	if a.Group != overlay.Group {
		if err := d.links.LinkSetGroup(link, overlay.Group); err != nil {
			return fmt.Errorf("set its group: %w", err)
		}
	}
	if a.MTU != w.MTU {
		if err := d.links.LinkSetMTU(link, w.MTU); err != nil {
			return fmt.Errorf("set its MTU to %d: %w", w.MTU, err)
		}
	}
	if err := allowIPv6(); err != nil {
		return err
	}
	if a.Flags&net.FlagUp == 0 {
		// No address of the kernel's own choice: nothing else shall be reached through the device.
		if err := d.links.LinkSetIP6AddrGenMode(link, addrGenNone); err != nil {
			return fmt.Errorf("switch off its own addresses: %w", err)
		}
		if err := d.links.LinkSetUp(link); err != nil {
			return fmt.Errorf("let it up: %w", err)
		}
	}
	there, err := d.links.AddrList(link, unix.AF_INET6)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list its addresses: %w", err)
	}
	has := map[string]bool{}
	for _, one := range there {
		has[one.IP.String()] = true
	}
	for generation := range 2 {
		ip := Address(w.Host, generation)
		if has[ip.String()] {
			continue
		}
		err := d.links.AddrReplace(link, &netlink.Addr{
			IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD, Scope: unix.RT_SCOPE_LINK,
		})
		if err != nil {
			return fmt.Errorf("give it the address %s: %w", ip, err)
		}
	}
	return nil
}

// addrGenNone is IN6_ADDR_GEN_MODE_NONE (linux/if_link.h).
const addrGenNone = 1

// allowIPv6 lets the device have IPv6 addresses on a host that has switched IPv6 off for its other links.
func allowIPv6() error {
	const file = "/proc/sys/net/ipv6/conf/" + Name + "/disable_ipv6"
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the kernel was started without IPv6, which encrypted networks use between hosts; remove ipv6.disable=1 from its command line")
	}
	if err == nil && strings.TrimSpace(string(b)) != "0" {
		err = os.WriteFile(file, []byte("0"), 0)
	}
	if err != nil {
		return fmt.Errorf("switch IPv6 on for it: %w", err)
	}
	return nil
}
