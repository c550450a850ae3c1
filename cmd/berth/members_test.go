package main_test

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/identity"
	"berth/runtime/store"
	"berth/runtime/store/etcd"
)

// member is one of the store's record of its members.
type member struct {
	Host, ID, Client string
	Learner          bool
}

// members are the store's members by host, as the store itself tells.
func (w *world) members() map[string]member {
	w.t.Helper()
	for line := range strings.Lines(w.must("store", "dump").out) {
		if value, ok := strings.CutPrefix(line, "berth/members "); ok {
			var m struct{ Members []member }
			if err := json.Unmarshal([]byte(value), &m); err != nil {
				w.t.Fatal(err)
			}
			out := map[string]member{}
			for _, one := range m.Members {
				if one.Learner {
					w.t.Errorf("%s is left without a vote", one.Host)
				}
				out[one.Host] = one
			}
			return out
		}
	}
	w.t.Fatal("the store's members are not recorded")
	return nil
}

// holds checks that these hosts, and no others, are the store's members, and have what members have.
func (w *world) holds(hosts ...string) {
	w.t.Helper()
	if got := sorted(keys(w.members())); !slices.Equal(got, hosts) {
		w.t.Fatalf("the store is on %v, want %v", got, hosts)
	}
	for _, h := range w.lab.Hosts() {
		eventually(w.t, h.Name()+" has the authority's key if it is a member, and else has not", func() bool {
			_, err := h.Run(w.t.Context(), "docker", "cp", "berth-agent:/var/lib/berth/ca-key.pem", "-")
			return (err == nil) == slices.Contains(hosts, h.Name())
		})
	}
}

// taskHosts are the hosts of the project's containers, by name.
func (w *world) taskHosts() map[string]string {
	w.t.Helper()
	homes := map[string]string{}
	for name, r := range w.ps() {
		homes[name] = r.Host
	}
	return homes
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// inventory makes the user's inventory one of these hosts.
func (w *world) inventory(hosts ...string) {
	w.t.Helper()
	w.env = append(w.env, "BERTH_INVENTORY="+w.lab.WriteInventory(w.t, func(i *lab.Inventory) {
		for name := range i.Hosts {
			if !slices.Contains(hosts, name) {
				delete(i.Hosts, name)
			}
		}
	}))
}

const spread = base + `
services:
  web: {<<: *base, deploy: {replicas: 3}}
`

func TestAStoreGrowsToThreeMembersWithTheThirdHost(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.Images("busybox"))
	w := newWorld(t, l, spread)
	w.inventory("host1", "host2")
	w.must("up", "-d")
	first := w.members()
	if got := keys(first); !slices.Equal(got, []string{"host1"}) {
		t.Fatalf("with two hosts the store is on %v, want host1", got)
	}
	w.inventory("host1", "host2", "host3")
	w.must("up", "-d")
	w.holds("host1", "host2", "host3")
	if w.members()["host1"] != first["host1"] {
		t.Error("the first member was replaced")
	}
	if r := w.must("up", "-d"); !strings.Contains(r.err, "nothing to do") {
		t.Error(r)
	}
	// It now outlives the loss of the first one.
	lost := l.Hosts()[0]
	if err := lost.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.must("store", "dump")
	if err := lost.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// file reads a file of a host's agent.
func (w *world) file(host, name string) []byte {
	w.t.Helper()
	h, err := w.lab.Host(host)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := h.Run(w.t.Context(), "docker", "cp", "berth-agent:/var/lib/berth/"+name, "-")
	if err != nil {
		w.t.Fatal(err)
	}
	tr := tar.NewReader(strings.NewReader(out))
	if _, err := tr.Next(); err != nil {
		w.t.Fatal(err)
	}
	b, err := io.ReadAll(tr)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// opens reports whether a store member at an address lets in who shows this certificate.
func (w *world) opens(addr string, ca, cert []byte) error {
	w.t.Helper()
	cfg, err := identity.ClientConfig(ca, identity.KeyPair{Cert: cert, Key: cert})
	if err != nil {
		w.t.Fatal(err)
	}
	st, err := etcd.Open(w.t.Context(), etcd.Config{Endpoints: []string{addr}, TLS: cfg})
	if err == nil {
		st.Close()
	}
	return err
}

// log is what a host's agent has written.
func (w *world) log(host string) string {
	w.t.Helper()
	h, err := w.lab.Host(host)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := h.Run(w.t.Context(), "sh", "-c", "docker logs berth-agent 2>&1")
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func TestAHostThatLeavesIsReplacedInTheStoreAndRefused(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(4), lab.Images("busybox"))
	w := newWorld(t, l, spread)
	w.must("up", "-d")
	w.holds("host1", "host2", "host3")
	ca, left := w.file("host2", "ca.pem"), w.file("host2", "cert.pem")
	addrs := map[string]string{}
	for _, h := range l.Hosts() {
		addrs[h.Name()] = "https://" + h.Address() + ":23579"
	}
	if err := w.opens(addrs["host1"], ca, left); err != nil {
		t.Fatal(err)
	}

	w.inventory("host1", "host3", "host4")
	r := w.must("up", "-d")
	if !strings.Contains(r.err, "host host2 is no longer in ") {
		t.Errorf("nobody says what becomes of host2: %s", r)
	}
	w.holds("host1", "host3", "host4")
	if got := w.hostsOf("web"); !slices.Equal(got, []string{"host1", "host3", "host4"}) {
		t.Errorf("web runs on %v", got)
	}
	for line := range strings.Lines(w.must("store", "dump").out) {
		if strings.Contains(line, "host2") && !strings.HasPrefix(line, "berth/refused/host2 ") {
			t.Errorf("the store still knows host2: %s", line)
		}
	}
	for _, h := range []string{"host1", "host3", "host4"} {
		if err := w.opens(addrs[h], ca, left); !errors.Is(err, store.ErrRefused) {
			t.Errorf("%s let host2 in: %v", h, err)
		}
		if err := w.opens(addrs[h], ca, w.file("host3", "cert.pem")); err != nil {
			t.Errorf("%s does not let host3 in: %v", h, err)
		}
	}
	eventually(t, "host2 says so", func() bool { return strings.Contains(w.log("host2"), "is refused by its store") })
	if _, err := l.Hosts()[1].Run(t.Context(), "docker", "exec", "berth-agent", "/berth", "version"); err != nil {
		t.Errorf("its agent ended: %v", err)
	}

	// It comes back, and with it its place among the hosts; the certificate that it had stays refused.
	w.inventory("host1", "host2", "host3", "host4")
	w.must("up", "-d", "--scale", "web=4")
	if got := w.hostsOf("web"); !slices.Equal(got, []string{"host1", "host2", "host3", "host4"}) {
		t.Errorf("web runs on %v", got)
	}
	w.holds("host1", "host3", "host4")
	if err := w.opens(addrs["host1"], ca, left); !errors.Is(err, store.ErrRefused) {
		t.Errorf("host2's certificate of before is good again: %v", err)
	}
	if err := w.opens(addrs["host1"], ca, w.file("host2", "cert.pem")); err != nil {
		t.Errorf("host2 is not let in: %v", err)
	}

	// The data of a member goes; the next host takes its place.
	before := w.members()
	for _, args := range [][]string{{"docker", "rm", "-f", "berth-agent"}, {"docker", "volume", "rm", "berth-agent"}} {
		if _, err := l.Hosts()[2].Run(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	w.must("up", "-d", "--scale", "web=4")
	w.holds("host1", "host2", "host4")
	if after := w.members(); after["host1"] != before["host1"] || after["host4"] != before["host4"] {
		t.Errorf("members were %v, are %v", before, after)
	}

	// One is lost for good; who is there takes its place.
	lost := l.Hosts()[3]
	if err := lost.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.inventory("host1", "host2", "host3")
	eventually(t, "host4's lease has ended", func() bool { return !strings.Contains(w.must("store", "dump").out, "berth/alive/host4") })
	w.must("up", "-d")
	if got := sorted(keys(w.members())); !slices.Equal(got, []string{"host1", "host2", "host3"}) {
		t.Errorf("the store is on %v", got)
	}
	if err := lost.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		// An agent that hangs says where, asked by SIGQUIT.
		const tell = "docker inspect -f '{{json .State}}, restarted {{.RestartCount}} times' berth-agent; timeout 5 docker wait berth-agent & " +
			"kill -QUIT $(docker inspect -f '{{.State.Pid}}' berth-agent); wait; docker logs berth-agent 2>&1"
		for _, h := range l.Hosts() {
			out, err := h.Run(context.WithoutCancel(t.Context()), "sh", "-c", tell)
			t.Logf("the agent of %s (%v):\n%s", h.Name(), err, out)
		}
	})
	eventually(t, "host4 finds out", func() bool { return strings.Contains(w.log("host4"), "is refused by its store") })

	t.Run("commands and agents may be killed meanwhile", func(t *testing.T) { membersUnderKills(t, w) })
	w.t = t
	w.inventory("host1", "host2", "host3", "host4") // for the clean-up: a subtest's files go with it
}

var membersRounds = flag.Int("members.rounds", 1, "how often commands and agents are killed while the store's members change")

// membersUnderKills changes the inventory, kills the command that follows it at any moment, and an agent beside it; one
// more command completes what was torn.
func membersUnderKills(t *testing.T, w *world) {
	w.t = t
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range *membersRounds {
		hosts := []string{"host1", "host2", "host3", "host4"}
		random.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
		// Somebody who has the store's data has to stay.
		is := w.members()
		stays := slices.IndexFunc(hosts, func(h string) bool { _, member := is[h]; return member })
		hosts[0], hosts[stays] = hosts[stays], hosts[0]
		hosts = sorted(hosts[:2+random.IntN(3)])
		if round == 0 {
			hosts = []string{"host1", "host2", "host4"} // who was refused replaces one that is there
		}
		given, homes := w.addresses(), w.taskHosts()
		w.inventory(hosts...)
		victim, err := w.lab.Host(hosts[random.IntN(len(hosts))])
		if err != nil {
			t.Fatal(err)
		}
		w.killed(time.Duration(random.IntN(4000))*time.Millisecond, "up", "-d")
		if _, err := victim.Run(t.Context(), "sh", "-c", "kill -9 $(docker inspect -f '{{.State.Pid}}' berth-agent)"); err != nil {
			t.Logf("round %d: %s has no agent to kill: %v", round, victim.Name(), err)
		}
		w.must("up", "-d")
		want := 1
		if len(hosts) >= 3 {
			want = 3
		}
		members := sorted(keys(w.members()))
		if len(members) != want || slices.ContainsFunc(members, func(h string) bool { return !slices.Contains(hosts, h) }) {
			t.Fatalf("round %d: with %v in the inventory the store is on %v", round, hosts, members)
		}
		now := w.addresses() // none twice
		for at, ip := range given {
			container, _, _ := strings.Cut(at, " ")
			if !slices.Contains(hosts, homes[container]) {
				continue // lost with its host, and made anew elsewhere
			}
			if now[at] != "" && now[at] != ip {
				t.Errorf("round %d: %s had %s and has %s", round, at, ip, now[at])
			}
		}
		if r := w.must("up", "-d"); !strings.Contains(r.err, "nothing to do") {
			t.Errorf("round %d: a second up finds something to do: %s", round, r)
		}
		for _, h := range w.lab.Hosts() { // as berth says when a host leaves: what runs there is the user's to end
			if slices.Contains(hosts, h.Name()) {
				continue
			}
			clear := "docker ps -aq --filter label=com.docker.compose.project=" + w.project + " | xargs -r docker rm -f"
			if out, err := h.Run(t.Context(), "sh", "-c", clear); err != nil {
				t.Fatal(err, out)
			}
		}
	}
}
