package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// running is an engine with containers of one project, and nothing else.
type running struct {
	Engine
	containers []engine.ContainerInfo
}

func (r *running) Networks(context.Context, string) ([]engine.NetworkInfo, error) { return nil, nil }

func (r *running) Containers(context.Context, engine.Filter) ([]engine.ContainerInfo, error) {
	return r.containers, nil
}

// small is a store that takes few operations at once, and keeps what it was told.
type small struct {
	scripted
	revision int64
}

func (s *small) Get(context.Context, string) (store.Snapshot, error) {
	snap := store.Snapshot{Revision: s.revision}
	for key, value := range s.held {
		snap.Pairs = append(snap.Pairs, store.Pair{Key: key, Value: []byte(value), Modified: s.revision})
	}
	return snap, nil
}

func (s *small) Commit(ctx context.Context, t store.Txn) (int64, error) {
	_, err := s.scripted.Commit(ctx, t)
	if err == nil {
		s.revision++
	}
	return s.revision, err
}

func TestAStoreThatTakesLittleAtOnceIsToldWhatRunsHere(t *testing.T) {
	e := &running{}
	for i := range 30 {
		e.containers = append(e.containers, engine.ContainerInfo{Name: fmt.Sprintf("shop-web-%d", i+1), Labels: map[string]string{
			engine.ProjectLabel: "shop", engine.ServiceLabel: "web", engine.NumberLabel: fmt.Sprint(i + 1), placement.RecordLabel: "{}"}})
	}
	st := &small{scripted: scripted{held: map[string]string{}, writes: make(chan struct{}, 100), most: 10}}
	log := slog.New(slog.DiscardHandler)
	a := &agent{config: Config{Host: "a", Cluster: "c", Address: netip.MustParseAddr("10.0.0.1")}, engine: e, log: log, memory: recall(""), member: &keeper{log: log}}
	news, err := a.rebuild(t.Context(), st, remembered{})
	if err != nil || news.epoch == "" {
		t.Fatalf("told in epoch %q, %v", news.epoch, err)
	}
	for i := range e.containers {
		if key := ledger.TaskKey("shop", placement.Task{Service: "web", Number: i + 1}); st.held[key] == "" {
			t.Errorf("%s was not told", key)
		}
	}
}
