package wireguard

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// userspace is the device of another process, by the text protocol that all userspace WireGuards speak on a Unix socket
// (https://www.wireguard.com/xplatform/#configuration-protocol). The client of wgctrl speaks it too, but only where
// /var/run/wireguard is shared with the process.
type userspace struct {
	ctx    context.Context
	socket string
}

// answerTime bounds a request; the process answers in milliseconds.
const answerTime = 5 * time.Second

func (u *userspace) close() {}

// reachable reports whether a process listens there.
func reachable(ctx context.Context, socket string) error {
	c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return c.Close()
}

// ask sends a request and gives the lines of the answer as pairs.
func (u *userspace) ask(request string) ([][2]string, error) {
	ctx, cancel := context.WithTimeout(u.ctx, answerTime)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", u.socket)
	if err != nil {
		return nil, fmt.Errorf("speak with its process: %w", err)
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	if _, err := c.Write([]byte(request + "\n")); err != nil {
		return nil, fmt.Errorf("speak with its process: %w", err)
	}
	var lines [][2]string
	in := bufio.NewScanner(c)
	for in.Scan() && in.Text() != "" {
		k, v, _ := strings.Cut(in.Text(), "=")
		if k == "errno" {
			if n, err := strconv.Atoi(v); err != nil || n != 0 {
				return nil, fmt.Errorf("its process refused: %w", unix.Errno(max(n, -n)))
			}
			return lines, nil
		}
		lines = append(lines, [2]string{k, v})
	}
	return nil, fmt.Errorf("speak with its process: %w", errors.Join(in.Err(), errors.New("the answer ended early")))
}

func (u *userspace) configure(c wgtypes.Config) error {
	var b strings.Builder
	line := func(key string, value any) { fmt.Fprintf(&b, "%s=%v\n", key, value) }
	line("set", 1)
	if c.PrivateKey != nil {
		line("private_key", hex.EncodeToString(c.PrivateKey[:]))
	}
	if c.ListenPort != nil {
		line("listen_port", *c.ListenPort)
	}
	for _, p := range c.Peers {
		line("public_key", hex.EncodeToString(p.PublicKey[:]))
		if p.Remove {
			line("remove", true)
			continue
		}
		if p.UpdateOnly {
			line("update_only", true)
		}
		if p.Endpoint != nil {
			line("endpoint", p.Endpoint)
		}
		if p.PersistentKeepaliveInterval != nil {
			line("persistent_keepalive_interval", int(p.PersistentKeepaliveInterval.Seconds()))
		}
		if p.ReplaceAllowedIPs {
			line("replace_allowed_ips", true)
		}
		for _, a := range p.AllowedIPs {
			line("allowed_ip", a.String())
		}
	}
	_, err := u.ask(b.String())
	return err
}

func (u *userspace) read() (*wgtypes.Device, error) {
	lines, err := u.ask("get=1\n")
	if err != nil {
		return nil, err
	}
	return parseDevice(lines)
}

// parseDevice reads the answer to get=1: lines of the device, then those of each peer, from its public_key on.
func parseDevice(lines [][2]string) (*wgtypes.Device, error) {
	d := &wgtypes.Device{Name: Name, Type: wgtypes.Userspace}
	var p *wgtypes.Peer
	for _, l := range lines {
		if l[0] == "public_key" {
			d.Peers = append(d.Peers, wgtypes.Peer{})
			p = &d.Peers[len(d.Peers)-1]
		}
		var err error
		if p == nil {
			err = deviceLine(d, l[0], l[1])
		} else {
			err = peerLine(p, l[0], l[1])
		}
		if err != nil {
			return nil, fmt.Errorf("its process says %s=%s, which is not understood: %w", l[0], secretless(l), err)
		}
	}
	return d, nil
}

// secretless keeps private keys out of errors.
func secretless(l [2]string) string {
	if l[0] == "private_key" || l[0] == "preshared_key" {
		return "…"
	}
	return l[1]
}

func deviceLine(d *wgtypes.Device, key, value string) (err error) {
	switch key {
	case "private_key":
		d.PrivateKey, err = parseHex(value)
	case "listen_port":
		d.ListenPort, err = strconv.Atoi(value)
	}
	return err
}

func peerLine(p *wgtypes.Peer, key, value string) (err error) {
	var n int64
	switch key {
	case "public_key":
		p.PublicKey, err = parseHex(value)
	case "endpoint":
		var at netip.AddrPort
		if at, err = netip.ParseAddrPort(value); err == nil {
			p.Endpoint = net.UDPAddrFromAddrPort(at)
		}
	case "last_handshake_time_sec":
		if n, err = strconv.ParseInt(value, 10, 64); n > 0 {
			p.LastHandshakeTime = time.Unix(n, 0)
		}
	case "rx_bytes":
		p.ReceiveBytes, err = strconv.ParseInt(value, 10, 64)
	case "tx_bytes":
		p.TransmitBytes, err = strconv.ParseInt(value, 10, 64)
	case "persistent_keepalive_interval":
		n, err = strconv.ParseInt(value, 10, 64)
		p.PersistentKeepaliveInterval = time.Duration(n) * time.Second
	case "allowed_ip":
		var ip *net.IPNet
		if _, ip, err = net.ParseCIDR(value); err == nil {
			p.AllowedIPs = append(p.AllowedIPs, *ip)
		}
	}
	return err
}

func parseHex(s string) (Key, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return Key{}, err
	}
	return wgtypes.NewKey(b)
}
