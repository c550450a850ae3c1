package cli

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"berth/cmd/table"
	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/execute"
)

// meter measures containers for as long as a command shows them: one stream each, and those that start later too.
type meter struct {
	ss      *session
	stopped bool // containers that stop stay in the table
	streams sync.WaitGroup
	opening map[string]chan struct{} // by host: a slot for each request without its first answer

	mu      sync.Mutex
	rows    map[string]*metered // by container ID
	lost    map[string]string   // hosts that do not answer, and why
	closed  bool                // no stream may begin any more
	shown   bool                // a table has been
	changed bool                // since then
}

// metered is one container's row and its stream.
type metered struct {
	table.UsageRow
	cancel context.CancelFunc
	ended  bool
}

func newMeter(ss *session, stopped bool) *meter {
	m := &meter{ss: ss, stopped: stopped, changed: true, rows: map[string]*metered{}, lost: map[string]string{}, opening: map[string]chan struct{}{}}
	for _, h := range ss.inv.Hosts {
		m.opening[h.Name] = make(chan struct{}, execute.DefaultLimits.PerHost)
	}
	return m
}

// run shows the list, and what starts and stops after it, until ctx ends or the output breaks.
func (m *meter) run(ctx context.Context, list []placement.Container, show func([]table.UsageRow, []string) error) error {
	streaming, cancel := context.WithCancel(ctx)
	defer m.close(cancel)
	for _, ct := range list {
		m.add(streaming, ct.ID, ct.Name, ct.Host)
	}
	for _, h := range m.ss.inv.Hosts {
		opened := 0
		defer m.ss.events(h.Name).Subscribe(func(ev engine.Event) bool {
			if ev.Type == engine.Resync {
				opened++
			}
			m.heard(streaming, h.Name, ev, opened > 1)
			return false
		})()
	}
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for began := time.Now(); ; {
		if m.news(time.Since(began) > firstRows) {
			if err := show(m.snapshot()); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// firstRows is how long the first table waits for containers that have not been heard of.
const firstRows = 3 * time.Second

// news reports whether there is more to show than the last time it did; before patience has run out, only whole tables
// count.
func (m *meter) news(impatient bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.shown && !impatient {
		for _, r := range m.rows {
			if !r.Known && !r.ended {
				return false
			}
		}
	}
	defer func() { m.changed = false }()
	m.shown = true
	return m.changed
}

// close ends the streams and waits for them; none is begun any more.
func (m *meter) close(cancel func()) {
	cancel()
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.streams.Wait()
}

// snapshot is the rows as they are, and a sentence for each lost host.
func (m *meter) snapshot() ([]table.UsageRow, []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := make([]table.UsageRow, 0, len(m.rows))
	for _, r := range m.rows {
		rows = append(rows, r.UsageRow)
	}
	sortUsage(rows)
	var notes []string
	for _, host := range slices.Sorted(maps.Keys(m.lost)) {
		notes = append(notes, "host "+host+" does not answer: "+m.lost[host])
	}
	return rows, notes
}

// heard follows the containers of the project that start and stop. After an engine's return they are listed anew: it does
// not tell what happened before.
func (m *meter) heard(ctx context.Context, host string, ev engine.Event, again bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = true
	switch {
	case ev.Type == engine.Lost:
		m.lost[host] = ev.Attributes["error"]
		for _, r := range m.rows {
			if r.Host == host {
				r.cancel()
				r.Known = false
			}
		}
	case ev.Type == engine.Resync && again && !m.closed:
		delete(m.lost, host)
		m.streams.Go(func() { m.relist(ctx, host) })
	case ev.Type != "container" || ev.Attributes[engine.ProjectLabel] != m.ss.name:
	case ev.Action == "start" && m.ss.asked(ev.Attributes[engine.ServiceLabel]):
		m.begin(ctx, ev.ID, ev.Name, host)
	case ev.Action == "destroy", ev.Action == "die" && !m.stopped:
		m.drop(ev.ID)
	}
}

// relist begins anew with a host's containers.
func (m *meter) relist(ctx context.Context, host string) {
	list, err := m.ss.cluster.Engines()[host].Containers(ctx, engine.Filter{
		Labels: []string{engine.ProjectLabel + "=" + m.ss.name}, All: m.stopped,
	})
	if err != nil {
		return // the next return of the engine, or its loss, is told
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, r := range m.rows {
		if r.Host == host {
			m.drop(id)
		}
	}
	for _, ct := range list {
		if m.ss.asked(ct.Labels[engine.ServiceLabel]) {
			m.begin(ctx, ct.ID, ct.Name, host)
		}
	}
}

// add is begin for callers without the lock.
func (m *meter) add(ctx context.Context, id, name, host string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begin(ctx, id, name, host)
}

// drop forgets a container. The caller holds m.mu.
func (m *meter) drop(id string) {
	if r := m.rows[id]; r != nil {
		r.cancel()
		delete(m.rows, id)
	}
}

// begin measures a container, unless that is done already. The caller holds m.mu.
func (m *meter) begin(ctx context.Context, id, name, host string) {
	if r := m.rows[id]; m.closed || r != nil && !r.ended {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	row := &metered{UsageRow: table.UsageRow{ID: id, Name: name, Host: host}, cancel: cancel}
	m.rows[id] = row
	m.streams.Go(func() {
		defer cancel()
		m.measure(ctx, row)
	})
}

// measure reads one container's stream. A row whose stream has broken stays, as unknown, until the container is heard of
// again.
func (m *meter) measure(ctx context.Context, row *metered) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		row.Known, row.ended = row.Known && m.stopped, true
	}()
	slot := m.opening[row.Host]
	select {
	case slot <- struct{}{}:
	case <-ctx.Done():
		return
	}
	free := sync.OnceFunc(func() { <-slot })
	defer free()
	_ = m.ss.cluster.Engines()[row.Host].FollowUsage(ctx, row.ID, func(u engine.Usage) {
		free()
		m.mu.Lock()
		defer m.mu.Unlock()
		if ctx.Err() == nil {
			fill(&row.UsageRow, u)
			m.changed = true
		}
	})
}
