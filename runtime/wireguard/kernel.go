package wireguard

import (
	"fmt"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// kernel is the kernel's own device, by generic netlink.
type kernel struct{ client *wgctrl.Client }

func newKernel() (configurer, error) {
	c, err := wgctrl.New()
	if err != nil {
		return nil, fmt.Errorf("speak with the kernel's WireGuard: %w", err)
	}
	return kernel{c}, nil
}

func (k kernel) read() (*wgtypes.Device, error)   { return k.client.Device(Name) }
func (k kernel) configure(c wgtypes.Config) error { return k.client.ConfigureDevice(Name, c) }
func (k kernel) close()                           { _ = k.client.Close() }
