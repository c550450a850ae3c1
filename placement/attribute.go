package placement

import (
	"net/netip"
	"strings"
)

// about is the kind of a key; "" for an unknown one.
func about(key string) Kind {
	switch kind := Kind(strings.ToLower(key)); kind {
	case AboutService, AboutImage, AboutVolume:
		return kind
	}
	if _, ok := attribute(&Host{}, key); ok {
		return AboutHost
	}
	return ""
}

// Arch is an architecture's GOARCH name: "x86_64" is amd64, "aarch64" is arm64. Unknown names come back in lower case.
func Arch(name string) string {
	switch name = strings.ToLower(name); name {
	case "x86_64", "x86-64":
		return "amd64"
	case "aarch64", "armv8", "armv8l":
		return "arm64"
	case "armhf", "armel", "armv6l", "armv7l":
		return "arm"
	case "i386", "i486", "i586", "i686", "x86":
		return "386"
	}
	return name
}

// Prefixes of the keys that name a label.
const (
	nodeLabels   = "node.labels."   // the inventory's
	engineLabels = "engine.labels." // the daemon's own
	anyLabels    = "labels."        // the inventory's where it has one, else the daemon's
)

// labelKey cuts "node.labels.type" and "engine.labels.x" into the label's name and the prefix.
func labelKey(key string) (label, prefix string, ok bool) {
	for _, prefix := range []string{nodeLabels, engineLabels, anyLabels} {
		if len(key) > len(prefix) && strings.EqualFold(key[:len(prefix)], prefix) {
			return key[len(prefix):], prefix, true
		}
	}
	return "", "", false
}

// attribute is a host's value for a constraint key, "" where the host has none; ok is false for a key that is unknown or
// not about hosts.
func attribute(h *Host, key string) (value string, ok bool) {
	if label, prefix, ok := labelKey(key); ok {
		switch prefix {
		case engineLabels:
			return h.EngineLabels[label], true
		case nodeLabels:
			return h.Labels[label], true
		}
		if v, ok := h.Labels[label]; ok {
			return v, true
		}
		return h.EngineLabels[label], true
	}
	switch strings.ToLower(key) {
	case "node.id":
		return h.EngineID, true
	case "node", "node.name":
		return h.Name, true
	case "node.hostname":
		return h.Hostname, true
	case "node.ip":
		return h.IP, true
	case "node.role":
		return "worker", true // berth's hosts are all the same: none manages the others
	case "node.platform.os":
		return h.OS, true
	case "node.platform.arch":
		return h.Arch, true
	case "engine.version":
		return h.Version, true
	case "engine.kernelversion":
		return h.Kernel, true
	case "engine.operatingsystem":
		return h.System, true
	case "engine.storagedriver":
		return h.StorageDriver, true
	}
	return "", false
}

// inNetwork compares a host's address with an address or a network.
func inNetwork(got, want string) bool {
	ip, err := netip.ParseAddr(got)
	if err != nil {
		return false
	}
	if prefix, err := netip.ParsePrefix(want); err == nil {
		return prefix.Contains(ip.Unmap())
	}
	addr, err := netip.ParseAddr(want)
	return err == nil && addr.Unmap() == ip.Unmap()
}
