package engine

import (
	"encoding/json"
	"testing"

	"github.com/docker/docker/api/types/container"

	"berth/placement"
)

func TestARecordSaysWhetherTheEngineChecksTheContainer(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  plain: {image: "berth-lab/busybox:1"}
  own: {image: "berth-lab/busybox:1", healthcheck: {test: "true"}}
  images: {image: "checked:1"}
  paced: {image: "checked:1", healthcheck: {interval: 1h}}
  off: {image: "checked:1", healthcheck: {disable: true}}
  none: {image: "checked:1", healthcheck: {test: [NONE]}}
`)
	create := func(service string) string {
		s := spec(p, service)
		s.Cluster = true
		return b.create(s)
	}
	recorded := func(id string) (rec placement.ContainerRecord) {
		got, err := b.raw.ContainerInspect(b.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(got.Config.Labels[placement.RecordLabel]), &rec); err != nil {
			t.Fatal(err)
		}
		return rec
	}
	b.prepare(p)
	plain := create("plain")
	if _, err := b.raw.ContainerCommit(b.ctx, plain, container.CommitOptions{Reference: "checked:1", Changes: []string{"HEALTHCHECK CMD true"}}); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{"plain": plain}
	for service, unchecked := range map[string]bool{"plain": true, "own": false, "images": false, "paced": false, "off": true, "none": true} {
		if ids[service] == "" {
			ids[service] = create(service)
		}
		state, err := b.State(b.ctx, ids[service])
		if err != nil {
			t.Fatal(err)
		}
		if got := recorded(ids[service]).Unchecked; got != unchecked || got == state.HasHealthcheck {
			t.Errorf("%s: the record says unchecked %t, the engine that it checks %t; want unchecked %t", service, got, state.HasHealthcheck, unchecked)
		}
	}
}
