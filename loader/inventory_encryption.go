package loader

import (
	"fmt"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// leastRotation is the shortest period of keys: a change takes all hosts of a network some steps.
const leastRotation = time.Minute

// encryption reads how encrypted networks get from host to host.
func (r *inventoryReader) encryption(n *yaml.Node, key string) error {
	return r.mapping(n, key, map[string]func(*yaml.Node, string) error{"port": r.encryptionPort, "rotate": r.rotate})
}

func (r *inventoryReader) encryptionPort(n *yaml.Node, key string) error {
	var text string
	if err := r.text(&text, n, key); err != nil {
		return err
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 || port == 4789 {
		return r.fail(n, key, fmt.Errorf("%q is no UDP port that encrypted networks can use; want 1 to 65535, and not 4789, which is the other networks'", text))
	}
	r.inventory.Encryption.Port = port
	return nil
}

func (r *inventoryReader) rotate(n *yaml.Node, key string) error {
	var text string
	if err := r.text(&text, n, key); err != nil {
		return err
	}
	every, err := time.ParseDuration(text)
	if err != nil || every < leastRotation {
		return r.fail(n, key, fmt.Errorf("%q is no time between two changes of keys; want one like 24h, at least %s", text, leastRotation))
	}
	r.inventory.Encryption.Rotate = every
	return nil
}
