package faults_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/cluster"
)

var (
	steps = flag.Int("steps", 20, "how many random steps the walk takes")
	seed  = flag.Uint64("seed", 0, "of the walk; 0 chooses one")
)

// quietEvery is after how many steps the cluster is left in peace and looked over.
const quietEvery = 4

// walker does random things to a cluster that several projects share.
type walker struct {
	t        *testing.T
	lab      *lab.Lab
	cluster  *cluster.Cluster
	random   *rand.Rand
	projects []*walked
	cut      *lab.Host // the host that is off the network; nil when none is
	hands    []byHand
	made     int      // containers run by hand so far
	backups  []string // files, the oldest first
	lost     bool     // a member of the store has lost its data and was not replaced yet
}

// walked is a project and what shall be of it.
type walked struct {
	*user
	up   bool // or down
	torn bool // the last command was killed or failed, so that anything may be there until the next one
}

// byHand is a container that nobody but docker knows.
type byHand struct {
	host *lab.Host
	name string
}

// Addresses, VNIs, entries and names stay right whatever commands, crashes and cuts do: after every few random steps,
// when all is quiet, the store, the engines and the kernels of all hosts agree, and tasks reach each other exactly where
// they share a network.
func TestAddressesStaySafeOnARandomWalk(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("go test ./cmd/berth/faults -run Walk -v -steps %d -losses %d -seed %d", *steps, *losses, *seed)
	l := lab.Start(t, lab.Hosts(3), lab.Images("busybox"))
	tellAll(t, l)
	w := &walker{t: t, lab: l, random: rand.New(rand.NewPCG(*seed, 0))}
	for i := range 3 {
		w.projects = append(w.projects, &walked{user: newUser(t, l, fmt.Sprintf("walk%d", i), "")})
	}
	first := w.projects[0]
	first.write(w.compose())
	first.must("up", "-d")
	first.up = true
	w.cluster = openStore(t, l)
	counts := map[string]int{}
	for step := 1; step <= *steps && !t.Failed(); step++ {
		began := time.Now()
		name, what := w.step()
		counts[name]++
		t.Logf("step %d: %s %s (%s)", step, name, what, time.Since(began).Round(time.Millisecond))
		if step%quietEvery == 0 || step == *steps {
			w.calm()
			w.audit()
		}
	}
	t.Logf("seed %d: %d steps: %v", *seed, *steps, counts)
}

// step does one random thing and says what.
func (w *walker) step() (name, what string) {
	if *losses > 0 && w.random.IntN(100) < *losses {
		return w.storeStep()
	}
	p := w.projects[w.random.IntN(len(w.projects))]
	h := w.lab.Hosts()[w.random.IntN(3)]
	switch n := w.random.IntN(20); {
	case n < 6:
		p.write(w.compose())
		p.up = true
		return "up", p.project + w.says(p.try("up", "-d", "--remove-orphans"))
	case n < 8 && p.up:
		service := []string{"front", "both", "back"}[w.random.IntN(3)]
		torn := p.torn // of an up that was killed scale completes one service only
		said := w.says(p.try("scale", fmt.Sprintf("%s=%d", service, w.random.IntN(4))))
		p.torn = p.torn || torn
		return "scale", p.project + said
	case n < 10:
		p.up = false
		return "down", p.project + w.says(p.try("down", "-t", "0"))
	case n < 13:
		p.write(w.compose())
		p.up, p.torn = true, true
		after := time.Duration(w.random.IntN(1500)) * time.Millisecond
		ctx, cancel := context.WithTimeout(context.Background(), after) // its end kills the command
		defer cancel()
		_ = p.command(ctx, "up", "-d", "--remove-orphans").Run()
		return "up, killed", fmt.Sprintf("%s after %s", p.project, after)
	case n < 15:
		kill9(w.t, h, cluster.AgentName)
		return "agent killed", h.Name()
	case n < 17:
		if w.cut != nil {
			return w.heal()
		}
		if err := h.Cut(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.cut = h
		return "cut", h.Name()
	case n < 19:
		w.made++
		one := byHand{h, fmt.Sprintf("hand%d", w.made)}
		network := p.project + "_" + []string{"front", "back"}[w.random.IntN(2)]
		if _, err := h.Run(w.t.Context(), "docker", "run", "-d", "--name", one.name, "--network", network, lab.Busybox, "sleep", "100000"); err != nil {
			// The network is not on that host; the container may have been made all the same.
			_, _ = h.Run(w.t.Context(), "docker", "rm", "-f", one.name)
			return "docker run, in vain", h.Name() + " " + network
		}
		w.hands = append(w.hands, one)
		return "docker run", h.Name() + " " + network
	default:
		return "docker rm", w.dropHand()
	}
}

// try runs a command that may fail, because a host is cut off or the network is in use.
func (p *walked) try(args ...string) error {
	_, err := p.berth(args...)
	p.torn = err != nil
	return err
}

// says is the last line of an error.
func (w *walker) says(err error) string {
	if err == nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return ": " + lines[len(lines)-1]
}

func (w *walker) heal() (name, what string) {
	h := w.cut
	w.cut = nil
	if err := h.Heal(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return "heal", h.Name()
}

// dropHand removes the oldest container that was run by hand.
func (w *walker) dropHand() string {
	if len(w.hands) == 0 {
		return "of none"
	}
	one := w.hands[0]
	w.hands = w.hands[1:]
	run(w.t, one.host, "docker", "rm", "-f", one.name)
	return one.name
}

// compose is a random file: three services, one of them on both networks.
func (w *walker) compose() string {
	var b strings.Builder
	b.WriteString("x-s: &s {image: berth-lab/busybox:1, command: sleep 100000}\nservices:\n")
	for _, s := range [][2]string{{"front", "front"}, {"both", "front, back"}, {"back", "back"}} {
		fmt.Fprintf(&b, "  %s: {<<: *s, networks: [%s], environment: {REVISION: \"%d\"}, deploy: {replicas: %d}}\n",
			s[0], s[1], w.random.IntN(2), w.random.IntN(4))
	}
	b.WriteString("networks: {front: , back: }\n")
	return b.String()
}

// calm heals what is cut and completes what was torn, and lets go of what keeps networks that no project has.
func (w *walker) calm() {
	w.t.Helper()
	if w.cut != nil {
		w.heal()
	}
	if !lab.Happens(func() bool {
		alive, err := leases(w.t.Context(), w.cluster)
		return err == nil && len(alive) == 3
	}) {
		w.t.Fatal("not all hosts hold their leases")
	}
	if slices.ContainsFunc(w.projects, func(p *walked) bool { return !p.up }) {
		for len(w.hands) > 0 { // they may be on its networks
			w.dropHand()
		}
	}
	for _, p := range w.projects {
		if !p.torn {
			continue
		}
		if p.up {
			p.must("up", "-d", "--remove-orphans")
		} else {
			p.must("down", "-t", "0")
		}
		p.torn = false
	}
	if w.lost {
		w.replace()
	}
}
