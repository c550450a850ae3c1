package wireguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// Launcher runs the process of the userspace device ([Serve]) where the kernel has no WireGuard.
type Launcher interface {
	// Start sees to it that the process runs. One that runs already is left alone.
	Start(ctx context.Context) error
	// Stop ends it and leaves nothing of it. None is no error.
	Stop(ctx context.Context) error
}

// Device is the host's WireGuard device. Its methods work on the network namespace that it was opened in; they are safe
// for concurrent use and do not overlap.
type Device struct {
	socket   string
	launcher Launcher

	mu        sync.Mutex
	links     *netlink.Handle
	endpoints map[Key]netip.AddrPort // as last told, by peer
	launched  bool                   // the process of the userspace device was seen to run, of this version
}

// Open binds to the network namespace of the calling thread. socket is where the userspace device listens.
func Open(socket string, l Launcher) (*Device, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("wireguard: open a netlink socket: %w", err)
	}
	return &Device{socket: socket, launcher: l, links: h, endpoints: map[Key]netip.AddrPort{}}, nil
}

// Close releases the sockets. The device stays as it is.
func (d *Device) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.links.Close()
}

// configurer is the kernel's device or the userspace one.
type configurer interface {
	read() (*wgtypes.Device, error)
	configure(wgtypes.Config) error
	close()
}

// Ensure makes the device or corrects the one that is there, changing only what differs, and says how it is then. What
// goes on through it is not disturbed.
func (d *Device) Ensure(ctx context.Context, w Want) (Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.ensure(ctx, w)
	if err != nil {
		return s, fmt.Errorf("wireguard: set up %s: %w", Name, err)
	}
	return s, nil
}

func (d *Device) ensure(ctx context.Context, w Want) (Status, error) {
	link, c, err := d.open(ctx)
	if err != nil {
		return Status{}, err
	}
	defer c.close()
	if err := d.correct(w, link); err != nil {
		return Status{}, err
	}
	have, err := c.read()
	if err != nil {
		return Status{}, err
	}
	change, err := d.difference(have, w)
	if err != nil {
		return Status{}, err
	}
	if change != nil {
		if change.ListenPort != nil {
			if err := portFree(w.Port); err != nil {
				return Status{}, err
			}
		}
		if err := c.configure(*change); err != nil {
			return Status{}, err
		}
		if have, err = c.read(); err != nil {
			return Status{}, err
		}
	}
	known := map[Key]netip.AddrPort{}
	for _, p := range w.Peers {
		known[p.Key] = p.Endpoint
	}
	d.endpoints = known
	return statusOf(have, link), nil
}

// open finds the device or makes it.
func (d *Device) open(ctx context.Context) (netlink.Link, configurer, error) {
	link, err := d.link(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := d.configurer(ctx, link)
	if err != nil {
		return nil, nil, err
	}
	if _, ok := c.(*userspace); ok { // which may have been made anew
		if link, err = d.links.LinkByName(Name); err != nil {
			return nil, nil, err
		}
	}
	return link, c, nil
}

// link finds the device or makes it.
func (d *Device) link(ctx context.Context) (netlink.Link, error) {
	link, err := d.links.LinkByName(Name)
	if err == nil {
		return link, nil
	}
	if !errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, err
	}
	err = d.links.LinkAdd(&netlink.Wireguard{LinkAttrs: netlink.LinkAttrs{Name: Name}})
	if err == nil || errors.Is(err, unix.EEXIST) {
		return d.links.LinkByName(Name)
	}
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, err
	}
	if err := d.launch(ctx); err != nil {
		return nil, err
	}
	return d.links.LinkByName(Name)
}

// launch sees to it that the process of the userspace device runs, and waits for it.
func (d *Device) launch(ctx context.Context) error {
	if err := d.launcher.Start(ctx); err != nil {
		return err
	}
	if err := d.appears(ctx); err != nil {
		_ = d.launcher.Stop(ctx) // one that hangs would be taken for running the next time too
		return err
	}
	d.launched = true
	return nil
}

// startTime bounds the time that the process of the userspace device takes to make it.
const startTime = 20 * time.Second

// appears waits for the process that was just started.
func (d *Device) appears(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		_, err := d.links.LinkByName(Name)
		if err == nil {
			err = reachable(ctx, d.socket)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("its process does not answer within %s (%w); look at \"docker logs berth-wireguard\" there", startTime, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *Device) configurer(ctx context.Context, link netlink.Link) (configurer, error) {
	switch link.Type() {
	case "wireguard":
		return newKernel()
	case "tuntap":
		// The first time, its process may be one of an older version; later, it may just be starting anew.
		if !d.launched || reachable(ctx, d.socket) != nil {
			if err := d.launch(ctx); err != nil {
				return nil, err
			}
		}
		return &userspace{ctx: ctx, socket: d.socket}, nil
	}
	return nil, fmt.Errorf("a link of another kind (%s) has that name; remove it", link.Type())
}

// Rekey gives the device another private key and has all its peers shake hands under it. What comes in under the key
// before is still taken in.
func (d *Device) Rekey(ctx context.Context, key Key) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.rekey(ctx, key); err != nil {
		return fmt.Errorf("wireguard: change the key of %s: %w", Name, err)
	}
	return nil
}

func (d *Device) rekey(ctx context.Context, key Key) error {
	link, err := d.links.LinkByName(Name)
	if err != nil {
		return err
	}
	c, err := d.configurer(ctx, link)
	if err != nil {
		return err
	}
	defer c.close()
	have, err := c.read()
	if err != nil {
		return err
	}
	// A keepalive that is switched on is sent at once, and with it the handshake.
	var off, on []wgtypes.PeerConfig
	for _, p := range have.Peers {
		if every := p.PersistentKeepaliveInterval; every != 0 {
			off = append(off, wgtypes.PeerConfig{PublicKey: p.PublicKey, UpdateOnly: true, PersistentKeepaliveInterval: new(time.Duration)})
			on = append(on, wgtypes.PeerConfig{PublicKey: p.PublicKey, UpdateOnly: true, PersistentKeepaliveInterval: &every})
		}
	}
	if err := c.configure(wgtypes.Config{PrivateKey: &key, Peers: off}); err != nil {
		return err
	}
	return c.configure(wgtypes.Config{Peers: on})
}

// Remove takes the device down and forgets its key. None is no error.
func (d *Device) Remove(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.endpoints)
	if err := d.launcher.Stop(ctx); err != nil {
		return fmt.Errorf("wireguard: remove %s: %w", Name, err)
	}
	link, err := d.links.LinkByName(Name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err == nil {
		err = d.links.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("wireguard: remove %s: %w", Name, err)
	}
	return nil
}

// portFree tells why the device could not listen on a port: the userspace one would only say so in its log.
func portFree(port int) error {
	for _, network := range []string{"udp4", "udp6"} {
		c, err := net.ListenUDP(network, &net.UDPAddr{Port: port})
		if errors.Is(err, unix.EADDRINUSE) {
			return fmt.Errorf("UDP port %d is in use on this host; set networks: {encryption: {port: …}} in hosts.yml", port)
		}
		if err == nil {
			c.Close()
		}
	}
	return nil
}

func statusOf(have *wgtypes.Device, link netlink.Link) Status {
	s := Status{Link: link.Attrs().Index, Kernel: link.Type() == "wireguard", Key: have.PrivateKey, Peers: map[Key]PeerStatus{}}
	for _, p := range have.Peers {
		st := PeerStatus{Handshake: p.LastHandshakeTime, Received: p.ReceiveBytes, Sent: p.TransmitBytes}
		if p.Endpoint != nil {
			st.Endpoint = unmapped(p.Endpoint.AddrPort())
		}
		s.Peers[p.PublicKey] = st
	}
	return s
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
