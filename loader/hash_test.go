package loader

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// These are what docker compose's own hash functions give for the same model and version of compose-go. When an update
// of compose-go changes them, every container is recreated on the next up: say so in the release note.
func TestConfigHashesDoNotChangeUnnoticed(t *testing.T) {
	p := newWorld(t, `
-- compose.yaml --
services: {web: {image: app, command: [run], ports: ["80:80"], environment: {A: "1"}}}
networks: {default: {internal: true}}
`).mustLoad()
	if got, want := p.Service("web").ConfigHash, "e9da2acced7d4fa258bd63b11dee47b69bc46bb7b979d60b08c5bfd515a4c631"; got != want {
		t.Errorf("service hash %s, want %s", got, want)
	}
	if got, want := p.Networks[0].ConfigHash, "e53b802f1a7dae93284d91198b88282ed11b7e9ef07d37ede4c10a273da42fca"; got != want {
		t.Errorf("network hash %s, want %s", got, want)
	}
	volume, err := VolumeHash(types.VolumeConfig{Name: "shop_data"})
	if want := "4e9994dd3f18d2005754ebe423d777f4baca4d40768dce9f0f672cc616414856"; volume != want || err != nil {
		t.Errorf("volume hash %s (%v), want %s", volume, err, want)
	}
}

func TestTheHashLeavesOutWhatDoesNotShapeAContainer(t *testing.T) {
	base := webService(t, "command: run").ConfigHash
	for _, same := range []string{
		"scale: 3", "build: .", "pull_policy: always", "profiles: [a]", "depends_on: [web2]",
	} {
		w := newWorld(t, web("command: run\n"+same)+"  web2: {image: x}\n", profiles("a"))
		if got := w.mustLoad().Service("web").ConfigHash; got != base {
			t.Errorf("%s changes the hash", same)
		}
	}
	if a, b := webService(t, "deploy: {replicas: 1}"), webService(t, "deploy: {replicas: 2}"); a.ConfigHash != b.ConfigHash {
		t.Error("deploy.replicas changes the hash")
	}
	for _, other := range []string{"labels: {a: b}", "environment: {A: b}", "mem_limit: 1g", "deploy: {mode: global}", "restart: always"} {
		if webService(t, "command: run\n"+other).ConfigHash == base {
			t.Errorf("%s does not change the hash", other)
		}
	}
}

func TestHashingLeavesTheServiceWhole(t *testing.T) {
	s := webService(t, "deploy: {replicas: 2}\nbuild: .")
	if s.Spec.Deploy.Replicas == nil || s.Spec.Build == nil {
		t.Error("ServiceHash changed the service")
	}
}

func TestAVolumeWithoutDriverHashesAsLocal(t *testing.T) {
	a, _ := VolumeHash(types.VolumeConfig{Name: "x"})
	b, _ := VolumeHash(types.VolumeConfig{Name: "x", Driver: "local"})
	c, _ := VolumeHash(types.VolumeConfig{Name: "x", Driver: "nfs"})
	if a != b || a == c {
		t.Error(a, b, c)
	}
}
