package loader

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/compose-spec/compose-go/v2/types"
)

// ServiceHash is the config hash of a service, SHA-256 in hex, as docker compose takes it (pkg/compose/hash.go): what
// does not shape a container is left out. It depends on the version of compose-go, as theirs does.
func ServiceHash(service types.ServiceConfig) (string, error) {
	service.Build = nil
	service.PullPolicy = ""
	service.Scale = nil
	if service.Deploy != nil {
		deploy := *service.Deploy // the caller's stays whole
		deploy.Replicas = nil
		service.Deploy = &deploy
	}
	service.DependsOn = nil
	service.Profiles = nil
	return hash(service)
}

// NetworkHash is the config hash of a network, SHA-256 in hex, as docker compose takes it.
func NetworkHash(network types.NetworkConfig) (string, error) {
	return hash(&network)
}

// VolumeHash is the config hash of a volume, SHA-256 in hex, as docker compose takes it: no driver is "local".
func VolumeHash(volume types.VolumeConfig) (string, error) {
	if volume.Driver == "" {
		volume.Driver = "local"
	}
	return hash(volume)
}

func hash(model any) (string, error) {
	b, err := json.Marshal(model)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
