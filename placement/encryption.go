package placement

import (
	"fmt"
	"strconv"
	"time"
)

// EncryptionSettings are how encrypted networks get from host to host.
type EncryptionSettings struct {
	Port   int           // UDP; 0 is berth's own choice
	Rotate time.Duration // age at which a host changes its key; 0 is berth's own choice
}

// EncryptedOption is the driver option of a network whose traffic between hosts is encrypted. Swarm takes it with an
// empty value as well.
const EncryptedOption = "encrypted"

// WantsEncryption reads the option among a network's driver options.
func WantsEncryption(options map[string]string) (bool, error) {
	v, ok := options[EncryptedOption]
	if !ok || v == "" {
		return ok, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return true, fmt.Errorf(`driver_opts: encrypted: %q is neither "true" nor "false"`, v)
	}
	return b, nil
}

// Encrypted reports whether what goes between hosts on this network is encrypted. A value that is not understood counts
// as a wish for it.
func (n *Network) Encrypted() bool {
	b, _ := WantsEncryption(n.Options)
	return b
}
