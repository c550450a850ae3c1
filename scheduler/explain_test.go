package scheduler

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnExplanationSaysHowHostsWereChosen(t *testing.T) {
	s := world(host("a", cpus(4), label("zone", "x")), host("b", cpus(4), label("zone", "x")), host("c", cpus(4), label("zone", "y")), host("d", cpus(1)),
		service("db", reserve(1, 0), constraint("node.name == a")),
		service("web", replicas(3), reserve(2, 0), spreadOver("node.labels.zone"), constraint("node.name == b ~")))
	p := s.plan(t, UpOptions{Explain: []string{"web", "db"}})
	want := `
service web: spread over node.labels.zone; hosts best first, before a task was placed
  b: soft rules 1, 0 tasks in node.labels.zone "x", 0 tasks of it here, load 0.0 % (CPU 0.0 %, memory 0.0 % reserved) <- web.1, web.2
  c: 0 tasks in node.labels.zone "y", 0 tasks of it here, load 0.0 % (CPU 0.0 %, memory 0.0 % reserved) <- web.3
  a: 0 tasks in node.labels.zone "x", 0 tasks of it here, load 25.0 % (CPU 25.0 %, memory 0.0 % reserved)
  d: refused: 1 of 1 CPUs free, 2 wanted
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), p.Explanations[0].String()); diff != "" {
		t.Error(diff)
	}
	s.apply(t, p)
	p = s.plan(t, UpOptions{Explain: []string{"web"}})
	if x := p.Explanations[0].String(); !strings.Contains(x, "<- web.1 (stays), web.2 (stays)\n") || !strings.Contains(x, "b: refused: 0 of 4 CPUs free, 2 wanted") {
		t.Error(x)
	}
}

func TestATaskThatWantsToBeBesideAServiceIsPlacedAfterIt(t *testing.T) {
	s := world(host("a", cpus(4)), host("b", cpus(4)),
		service("aaa", reserve(2, 0), constraint("service == cache")),
		service("cache", reserve(1, 0), constraint("service != big")),
		service("big", reserve(3, 0)), service("near", constraint("service == aaa ~")))
	golden(t, s.plan(t), `
		0  record
		1  create aaa.1 on b (new replica) after 0
		2  create big.1 on a (new replica) after 0
		3  create cache.1 on b (new replica) after 0
		4  create near.1 on b (new replica) after 0
		5  start aaa.1 on b after 1
		6  start big.1 on a after 2
		7  start cache.1 on b after 3
		8  start near.1 on b after 4`)
}
