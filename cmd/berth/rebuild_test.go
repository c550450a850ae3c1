package main_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"berth/fixtures/lab/lab"
	"berth/placement"
)

const rebuiltCompose = base + `
services:
  web:
    <<: *base
    networks: {front: {aliases: [site]}, back: }
    deploy: {replicas: 3}
  db:
    <<: *base
    volumes: [data:/data]
    networks: [back, open]
    ports: [{target: 80, published: 18085, mode: ingress}]
    links: ["web:shop"]
networks: {front: , open: , back: {internal: true, driver_opts: {some.option: "x"}}}
volumes: {data: }
`

// records are what the store says of networks, endpoints, ports, tasks and pins, without the agents' own keys.
func (w *world) records() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(w.must("store", "dump").out) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		for _, prefix := range []string{"berth/networks/", "berth/endpoints/", "berth/projects/", "berth/ports/"} {
			if strings.HasPrefix(key, prefix) {
				out[key] = value
			}
		}
	}
	return out
}

// addresses are those of all endpoints, by container and network; one given twice fails the test.
func (w *world) addresses() map[string]string {
	w.t.Helper()
	of, by := map[string]string{}, map[string]string{}
	for key, value := range w.records() {
		if !strings.HasPrefix(key, "berth/endpoints/") {
			continue
		}
		var e placement.Endpoint
		if err := json.Unmarshal([]byte(value), &e); err != nil {
			w.t.Fatal(err)
		}
		at := e.Network + " " + e.IP.String()
		if by[at] != "" {
			w.t.Errorf("%s and %s have %s", by[at], e.Container, at)
		}
		by[at] = e.Container
		of[e.Container+" "+e.Network] = e.IP.String()
	}
	return of
}

// inPlace checks that nothing is left to do and that everything is found by its name, from every task.
func (w *world) inPlace(web int) {
	w.t.Helper()
	if r := w.must("plan"); r.out != "" {
		w.t.Errorf("there is something to do: %s", r)
	}
	for n := range web {
		from := w.container("web", n+1)
		for name, want := range map[string]int{"web": web, "site": web, "db": 1, w.container("db", 1): 1} {
			eventually(w.t, from+" resolves "+name, func() bool { return len(w.resolve(from, name)) == want })
		}
		eventually(w.t, from+" reaches db", func() bool {
			_, err := w.exec(from, "ping", "-c", "1", "-W", "1", "db")
			return err == nil
		})
	}
	eventually(w.t, "db resolves its link", func() bool { return len(w.resolve(w.container("db", 1), "shop")) == web })
}

// emptyStore takes the embedded store's data away on every host, while nothing of it runs.
func emptyStore(t *testing.T, l *lab.Lab) {
	t.Helper()
	each(t, l, "docker", "stop", "berth-agent")
	each(t, l, "sh", "-c", `rm -rf "$(docker volume inspect -f '{{.Mountpoint}}' berth-agent)/etcd"`)
	each(t, l, "docker", "start", "berth-agent")
}

func each(t *testing.T, l *lab.Lab, args ...string) {
	t.Helper()
	for _, h := range l.Hosts() {
		if out, err := h.Run(t.Context(), args...); err != nil {
			t.Fatalf("%s: %v: %v: %s", h.Name(), args, err, out)
		}
	}
}

func TestAnEmbeddedStoreThatLostItsDataIsRebuiltFromWhatTheHostsRun(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, rebuiltCompose)
	w.must("up", "-d")
	w.inPlace(3)
	before, running, given := w.records(), ids(w.ps()), w.addresses()

	emptyStore(t, l)
	w.inPlace(3)
	if d := cmp.Diff(before, w.records()); d != "" {
		t.Errorf("-before +rebuilt\n%s", d)
	}
	if d := cmp.Diff(running, ids(w.ps())); d != "" {
		t.Errorf("-ran +runs\n%s", d)
	}

	w.must("scale", "web=4")
	now := w.addresses()
	for _, network := range []string{"front", "back"} {
		at := w.container("web", 4) + " " + w.project + "_" + network
		if slices.Contains(slices.Collect(maps.Values(given)), now[at]) || now[at] == "" {
			t.Errorf("web.4 has %q, which may be another's: %v", now[at], given)
		}
	}
	w.write("compose.yml", strings.Replace(rebuiltCompose, "replicas: 3", "replicas: 4", 1))
	w.inPlace(4)
}

func TestAnExternalStoreThatIsEmptiedIsRebuiltWhileEverythingRuns(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.Images("busybox"))
	url := startEtcd(t, l.Hosts()[0], t.TempDir()).url
	w := newWorld(t, l, rebuiltCompose)
	w.env = append(w.env, "BERTH_INVENTORY="+l.WriteInventory(t, func(i *lab.Inventory) { i.Store = url }))
	w.must("up", "-d")
	w.inPlace(3)
	before := w.records()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{strings.TrimPrefix(url, "etcd://")}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Delete(t.Context(), "berth/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	w.inPlace(3)
	if d := cmp.Diff(before, w.records()); d != "" {
		t.Errorf("-before +rebuilt\n%s", d)
	}

	t.Run("with a host away no address is given out", func(t *testing.T) {
		away := l.Hosts()[2]
		if _, err := away.Run(t.Context(), "docker", "stop", "berth-agent"); err != nil {
			t.Fatal(err)
		}
		if err := away.Cut(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Delete(t.Context(), "berth/", clientv3.WithPrefix()); err != nil {
			t.Fatal(err)
		}
		r := w.refused([]string{away.Name(), "no address can be given out"}, "scale", "web=6")
		t.Log(r.err)
		if err := away.Heal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := away.Run(t.Context(), "docker", "start", "berth-agent"); err != nil {
			t.Fatal(err)
		}
		w.inPlace(3)
		w.addresses()
	})
}
