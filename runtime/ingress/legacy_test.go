package ingress

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTheOldIptablesGetsTheRulesToo(t *testing.T) {
	w := newWorldWith(t, "iptables-legacy")
	legacy := func(args string) (out string) {
		inside(t, w.host, func() { out = run(t, "iptables-legacy", strings.Fields(args)...) })
		return out
	}
	legacy("-I DOCKER-USER -s 10.99.0.66 -j DROP")
	legacy("-I DOCKER-USER -s 10.99.0.1") // no target: it only counts
	legacy("-N LAST")
	legacy("-A LAST -p tcp -j ACCEPT")
	legacy("-A INPUT -s 10.99.0.66 -j LAST")
	before := legacy("-S")
	if strings.Contains(w.dump(), "DOCKER-USER") {
		t.Fatal("the rules are not in the old tables")
	}
	w.apply(state(1, 2))
	if got := w.sees(w.client, "tcp4", hostPort); len(got) != 2 {
		t.Errorf("%v answer, want both tasks", got)
	}
	want := []string{
		"-N DOCKER-USER", "-A DOCKER-USER -s 10.99.0.1/32", "-A DOCKER-USER -s 10.99.0.66/32 -j DROP",
		`-A DOCKER-USER -o bt+ -m conntrack --ctstate DNAT -m comment --comment "` + Comment + `" -j ACCEPT`,
		`-A DOCKER-USER -i bt+ -m conntrack --ctstate DNAT --ctdir REPLY -m comment --comment "` + Comment + `" -j ACCEPT`,
		"-A DOCKER-USER -j RETURN",
	}
	if got := strings.Split(strings.TrimSpace(legacy("-S DOCKER-USER")), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	counted := regexp.MustCompile(`-A DOCKER-USER -s 10.99.0.1/32 -c (\d+)`).FindStringSubmatch(legacy("-v -S DOCKER-USER"))
	if len(counted) != 2 || counted[1] == "0" {
		t.Fatalf("calls are not counted: %v in %s", counted, legacy("-v -S DOCKER-USER"))
	}
	legacy("-D DOCKER-USER 3") // ours
	inside(t, w.host, func() { must(t, w.in.Verify()) })
	if got := strings.Count(legacy("-S"), Comment); got != 2 {
		t.Errorf("%d rules of ours after one was deleted, want 2", got)
	}
	w.apply(State{})
	if after := legacy("-S"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if got := legacy("-v -S DOCKER-USER"); !strings.Contains(got, "-s 10.99.0.1/32 -c "+counted[1]+" ") {
		t.Errorf("the counters of others are lost: %s packets before, now\n%s", counted[1], got)
	}
}
