package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/logs"
)

// tail is `logs -f`: the logs of what runs, and of what is started while it looks, until nothing of it runs any more.
type tail struct {
	ss       *session
	ctx      context.Context
	wanted   func(service string, number int) bool
	follower *logs.Follower
	printer  *logs.Printer
	watchers sync.WaitGroup

	mu    sync.Mutex
	live  map[string]logs.Stream // by container ID: those that may still write
	again map[string]bool        // started anew while the end of the last run is dealt with
	codes map[string]string      // exit codes that the engines told of
	last  map[string]time.Time   // of the lines of a run that has ended
	lost  map[string]bool        // hosts
	over  bool
}

// followLogs runs a tail over a list of containers.
func (ss *session) followLogs(ctx context.Context, list []placement.Container, o logs.Options, wanted func(string, int) bool) error {
	t := &tail{
		ss: ss, wanted: wanted, live: map[string]logs.Stream{}, again: map[string]bool{}, codes: map[string]string{},
		last: map[string]time.Time{}, lost: map[string]bool{},
	}
	var streams []logs.Stream
	for _, ct := range list {
		s := ss.stream(ct)
		streams, t.live[ct.ID] = append(streams, s), s
	}
	t.printer = ss.printer(streams, ss.env.Stdout)
	ctx, idle, written := feeding(ctx, t.printer)
	t.ctx = ctx
	t.follower = logs.NewFollower(logs.Merger{Idle: idle, Report: t.report}, streams, o)
	for _, h := range ss.inv.Hosts {
		defer ss.events(h.Name).Subscribe(func(ev engine.Event) bool { t.heard(h.Name, ev); return false })()
	}
	t.mu.Lock()
	t.settle()
	t.mu.Unlock()
	err := t.follower.Run(ctx, t.printer.Line)
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.watchers.Wait()
	return written(err)
}

// settle ends the tail when nothing is left that may write. The caller holds t.mu.
func (t *tail) settle() {
	if len(t.live) == 0 {
		t.over = true
		t.follower.Close()
	}
}

// watch runs f beside the tail, unless that is over. The caller holds t.mu.
func (t *tail) watch(f func()) {
	if !t.over {
		t.watchers.Go(f)
	}
}

// heard follows what starts, and hosts that go away and come back.
func (t *tail) heard(host string, ev engine.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case ev.Type == engine.Lost:
		t.lost[host] = true
		t.follower.Lost(host, errors.New(ev.Attributes["error"]))
	case ev.Type == engine.Resync && t.lost[host]:
		t.lost[host] = false
		t.watch(func() { t.regain(host) })
	case ev.Type != "container" || ev.Attributes[engine.ProjectLabel] != t.ss.name || ev.Attributes[engine.OneOffLabel] == "True":
	case ev.Action == "die":
		t.codes[ev.ID] = ev.Attributes["exitCode"]
	case ev.Action == "start":
		service := ev.Attributes[engine.ServiceLabel]
		number, _ := strconv.Atoi(ev.Attributes[engine.NumberLabel])
		if !t.wanted(service, number) {
			return
		}
		if _, known := t.live[ev.ID]; known {
			t.again[ev.ID] = true
			return
		}
		t.add(t.ss.stream(placement.Container{ID: ev.ID, Name: ev.Name, Host: host, Labels: ev.Attributes}), ev.Time.Add(-time.Second))
	}
}

// add follows a container from the end of what is known of it, or from a time. The caller holds t.mu.
func (t *tail) add(s logs.Stream, from time.Time) {
	if last := t.last[s.ID]; !last.IsZero() {
		from = last.Add(time.Nanosecond)
	}
	if t.follower.Add(s, from.UTC().Format(time.RFC3339Nano)) == nil {
		t.printer.Register(s.Label)
		t.live[s.ID] = s
	}
}

// regain goes on with the containers of a host that is back.
func (t *tail) regain(host string) {
	list, err := t.ss.cluster.Engines()[host].Containers(t.ctx, engine.Filter{Labels: []string{engine.ProjectLabel + "=" + t.ss.name}})
	if err != nil {
		return // its next return, or its loss, is told
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ct := range list {
		number, _ := strconv.Atoi(ct.Labels[engine.NumberLabel])
		_, known := t.live[ct.ID]
		if !known && ct.Labels[engine.OneOffLabel] != "True" && t.wanted(ct.Labels[engine.ServiceLabel], number) {
			t.add(t.ss.stream(placement.Container{ID: ct.ID, Name: ct.Name, Host: host, Labels: ct.Labels}), time.Now())
		}
	}
}

// report is told when a log has ended, and when one could not be read on.
func (t *tail) report(n logs.Notice) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.Kind == logs.Ended {
		if !n.Last.IsZero() {
			t.last[n.Stream.ID] = n.Last
		}
		t.watch(func() { t.ended(n.Stream) })
		return
	}
	t.ss.display.Warn(n.String())
	for id, s := range t.live {
		if id == n.Stream.ID || n.Kind == logs.HostLost && s.Host == n.Stream.Host {
			delete(t.live, id)
		}
	}
	t.settle()
}

// ended says how a container ended, or goes on with it when it was started again.
func (t *tail) ended(s logs.Stream) {
	t.mu.Lock()
	delete(t.again, s.ID) // heard of before: that run may be the one that has ended
	t.mu.Unlock()
	e := t.ss.cluster.Engines()[s.Host]
	st, err := e.Await(t.ctx, t.ss.events(s.Host), s.ID, func(st engine.State) (bool, error) { return st.Status != "restarting", nil })
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && !st.Running {
		t.codes[s.ID] = strconv.Itoa(st.ExitCode)
	}
	if code := t.codes[s.ID]; code != "" {
		t.printer.Status(s.Label, fmt.Sprintf("exited with code %s", code))
		flush(t.printer)()
	}
	anew := t.again[s.ID] || err == nil && st.Running
	delete(t.live, s.ID)
	delete(t.again, s.ID)
	delete(t.codes, s.ID)
	if anew {
		t.add(s, time.Now())
	}
	t.settle()
}
