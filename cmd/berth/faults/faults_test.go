package faults_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/cluster"
	"berth/runtime/overlay"
)

// Each fault is a subtest; all share one cluster and one prober, so that what a repair left behind shows in the next.
func TestFaultsAreRepairedWithoutAPerson(t *testing.T) {
	w := newWorld(t)
	w.onLinks()
	w.onEngines()
	w.onAgents()
	w.onClocks()
	w.onTheNetwork()
	w.onTheStore()
	w.onDisks()
	w.onHosts()
	for _, wrong := range w.imposters() {
		t.Errorf("stale name: %s", wrong)
	}
	t.Logf("times from the fault, or from the end of what made it, until all calls between all hosts go well:\n%s", w.table())
}

// onLinks breaks what the agent made in a host's kernel.
func (w *world) onLinks() {
	two := w.lab.Hosts()[1]
	bridge, tunnel := overlay.BridgeName(w.record.VNI), overlay.TunnelName(w.record.VNI)
	for _, f := range [][]string{
		{"VXLAN port deleted", "ip link delete " + tunnel},
		{"VXLAN port down", "ip link set " + tunnel + " down"},
		{"VXLAN port taken out of its bridge", "ip link set " + tunnel + " nomaster"},
		{"FDB flushed", "bridge fdb show dev " + tunnel + " | grep -v master | while read mac rest; do bridge fdb del $mac dev " + tunnel + " self; done; true"},
		{"neighbours flushed", "ip neigh flush dev " + bridge + " nud permanent"},
		{"bridge deleted", "ip link delete " + bridge},
		{"bridge down", "ip link set " + bridge + " down"},
		{"bridge's address removed", "ip addr flush dev " + bridge},
		{"container's port taken out of the bridge", "for p in /sys/class/net/" + bridge + "/brif/veth*; do ip link set ${p##*/} nomaster; done"},
	} {
		w.fault(f[0], func(t *testing.T) time.Time {
			run(t, two, "sh", "-c", f[1])
			return time.Time{}
		})
	}
}

// onEngines changes what the agent made in a host's engine, and restarts that.
func (w *world) onEngines() {
	two := w.lab.Hosts()[1]
	w.fault("docker network disconnect", func(t *testing.T) time.Time {
		run(t, two, "docker", "network", "disconnect", network, w.targets[1].container)
		return time.Time{}
	})
	w.fault("engine's network removed", func(t *testing.T) time.Time {
		run(t, two, "sh", "-c", "docker network disconnect -f "+network+" "+w.targets[1].container+" && docker network rm "+network)
		return time.Time{}
	})
	w.fault("dockerd restarted", func(t *testing.T) time.Time {
		w.restart(two)
		return time.Now()
	})
	if *slow {
		w.fault("dockerd killed and started", func(t *testing.T) time.Time {
			if err := two.Kill(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.flows(time.Now(), nil)
			w.restart(two)
			return time.Now()
		})
	}
	const config = "/etc/docker/daemon.json"
	run(w.t, two, "sh", "-c", `echo '{"live-restore": true}' >`+config)
	w.restart(two)
	w.repaired(time.Now(), nil) // without live-restore yet, this ended the containers
	w.fault("dockerd restarted with live-restore", func(t *testing.T) time.Time {
		began := time.Now()
		w.restart(two)
		w.flows(began, nil)
		return time.Now()
	})
	run(w.t, two, "rm", config)
	w.restart(two)
	w.repaired(time.Now(), nil)
}

// restart restarts a host's engine and returns when it answers.
func (w *world) restart(h *lab.Host) {
	w.t.Helper()
	if err := h.Restart(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// onAgents ends agents. One of them is the store's leader.
func (w *world) onAgents() {
	for _, h := range w.lab.Hosts() {
		w.fault("agent killed on "+h.Name(), func(t *testing.T) time.Time {
			began := time.Now()
			kill9(t, h, cluster.AgentName)
			w.flows(began, nil)
			return time.Time{}
		})
	}
	two := w.lab.Hosts()[1]
	w.fault("agent's container removed, until the next command", func(t *testing.T) time.Time {
		id := inspect(t, two, w.targets[1].container).ID
		began := time.Now()
		run(t, two, "docker", "rm", "-f", cluster.AgentName)
		w.must("up", "-d")
		w.flows(began, nil)
		if inspect(t, two, w.targets[1].container).ID != id {
			t.Error("the container was made anew, though nothing was wrong with it")
		}
		return time.Now()
	})
	if !*slow {
		return
	}
	w.fault("agent's container and volume removed, until the next command", func(t *testing.T) time.Time {
		id := inspect(t, two, w.targets[1].container).ID
		began := time.Now()
		run(t, two, "docker", "rm", "-f", cluster.AgentName)
		run(t, two, "docker", "volume", "rm", cluster.AgentName)
		w.flows(began, nil)
		w.whole() // its member of the store has lost its data and is replaced
		if inspect(t, two, w.targets[1].container).ID != id {
			t.Error("the container was made anew, though nothing was wrong with it")
		}
		return time.Now()
	})
}

// whole runs a command, again and again, until it has made the cluster whole: the store has three members that serve.
func (w *world) whole() {
	w.t.Helper()
	var said string
	if !lab.Happens(func() bool {
		w.must("up", "-d")
		out, err := w.berth("store", "status")
		if err != nil {
			said = err.Error()
		}
		return err == nil && strings.Count(out, ":23579") == 3
	}) {
		w.t.Fatalf("not all members of the store serve: %s", said)
	}
}
