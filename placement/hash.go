package placement

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// NetworkHash is the value of the label com.docker.compose.config-hash on a network: SHA-256 hex of the JSON of its
// compose entry, as docker compose computes it (pkg/compose/hash.go). It is "" without a compose entry, which equals
// any network.
func NetworkHash(n *NetworkSpec) string {
	if n.Spec == nil {
		return ""
	}
	return jsonHash(n.Spec)
}

// VolumeHash is the same for a volume; an empty driver counts as "local", as for docker compose.
func VolumeHash(v *VolumeSpec) string {
	if v.Spec == nil {
		return ""
	}
	spec := *v.Spec
	if spec.Driver == "" {
		spec.Driver = "local"
	}
	return jsonHash(&spec)
}

func jsonHash(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // a loaded model always marshals; if not, equal to any beats recreating for ever
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
