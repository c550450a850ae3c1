package main_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/fixtures/lab/lab"
)

func TestTheShopKeepsItsDataAndStartsInOrder(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("redis", "nginx", "app"))
	w := newWorld(t, l, sample(t, "shop/compose.yml"))
	w.must("up", "-d", "--wait")
	for name, r := range w.ps() {
		if r.State != "running" || r.Health != "" && r.Health != "healthy" {
			t.Errorf("%s is %s (%s) after up --wait", name, r.State, r.Health)
		}
	}
	if got := len(w.hostsOf("app")); got != 4 {
		t.Errorf("%d app tasks, want 4", got)
	}
	home := w.hostsOf("redis")
	first := visits(t, w)
	if second := visits(t, w); second <= first {
		t.Errorf("visits went from %d to %d", first, second)
	}

	w.must("down")
	w.must("up", "-d", "--wait")
	if diff := cmp.Diff(home, w.hostsOf("redis")); diff != "" {
		t.Errorf("redis did not come back to its volume: %s", diff)
	}
	if after := visits(t, w); after <= first {
		t.Errorf("visits start again at %d, they were %d before down", after, first)
	}

	w.must("down", "-v")
	gone(t, w)
	for host, out := range w.onHosts("docker", "volume", "ls", "-q", "--filter", "label=com.docker.compose.project="+w.project) {
		if out != "" {
			t.Errorf("%s still has volumes after down -v: %s", host, out)
		}
	}
}

var count = regexp.MustCompile(`visits (\d+)`)

// visits fetches the shop's page through nginx's published port and reads the counter that redis keeps.
func visits(t *testing.T, w *world) int {
	t.Helper()
	host, err := w.lab.Host(w.hostsOf("nginx")[0])
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(fmt.Sprintf("http://%s:8080/", host.Address()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := count.FindSubmatch(body)
	if m == nil {
		t.Fatalf("no counter in the page (%s): %s", resp.Status, body)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
