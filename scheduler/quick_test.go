package scheduler

import "testing"

func TestQuick(t *testing.T) {
	s := world(host("a"), host("b"), service("db", on("back"), mounts("data"), healthcheck()), service("web", replicas(3), on("back", "front"), port(80), dependsOn("db", "service_healthy"), maxPerHost(2)))
	p, err := Up(s.p, s.o, UpOptions{})
	t.Logf("%v\n%s", err, p)
	s.change("web", replicas(2))
	p = s.plan(t)
	t.Logf("\n%s", p)
	s.apply(t, p)
	t.Log(s.hosts())
	t.Logf("second:\n%s", s.plan(t))
	s.change("db", hash("2"))
	p = s.plan(t)
	t.Logf("\n%s", p)
	s.apply(t, p)
	t.Logf("second:\n%s", s.plan(t))
	p = Down("app", s.p, s.o, DownOptions{Volumes: true})
	t.Logf("\n%s", p)
	s.apply(t, p)
	t.Logf("%+v", s.o.Recorded)
	s = world(service("db", on("back"), mounts("data")), service("web", on("back"), dependsOn("db", "service_started")))
	p = s.plan(t)
	t.Logf("\n%s", p)
	s.apply(t, p)
	t.Logf("second:\n%s", s.plan(t))
}
