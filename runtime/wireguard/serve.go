package wireguard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"berth/runtime/wireguard/tap"
)

// Serve is the userspace device: it makes the link, and carries out what comes in on the socket, until ctx ends (nil) or
// the link is removed by someone else (an error). The link goes with it, and with the link the kernel deletes the VXLAN
// ports that stand on it: without this process nothing passes.
func Serve(ctx context.Context, socket string, log *slog.Logger) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return fmt.Errorf("wireguard: %w", err)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("wireguard: remove the socket of an earlier life: %w", err)
	}
	link, err := tap.Open(Name, device.DefaultMTU)
	if err != nil {
		return fmt.Errorf("wireguard: make %s: %w; the kernel has neither WireGuard nor TUN, or the device file /dev/net/tun is not there", Name, err)
	}
	d := device.NewDevice(link, conn.NewDefaultBind(), &device.Logger{
		Verbosef: func(format string, args ...any) { log.Debug(fmt.Sprintf(format, args...)) },
		Errorf:   func(format string, args ...any) { log.Warn(fmt.Sprintf(format, args...)) },
	})
	defer d.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("wireguard: listen: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		l.Close()
		return fmt.Errorf("wireguard: listen: %w", err)
	}
	var conns sync.WaitGroup
	defer func() {
		l.Close()
		cancel()
		conns.Wait()
	}()
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				stop := context.AfterFunc(ctx, func() { c.Close() })
				defer stop()
				d.IpcHandle(c) // closes it
			})
		}
	})
	log.Info("userspace WireGuard serves", "device", Name)
	select {
	case <-ctx.Done():
		return nil
	case <-d.Wait():
		return fmt.Errorf("wireguard: %s has ended", Name)
	case <-link.Removed():
		return fmt.Errorf("wireguard: %s was removed", Name)
	}
}
