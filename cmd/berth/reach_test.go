package main_test

import (
	"testing"

	"berth/fixtures/lab/lab"
)

// sameNames is for tests of how the command line reaches the engines: the containers' names do not depend on that.
func sameNames(*testing.T, *world) {}

func TestTheTutorialRunsOverTLS(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.CPUs(1), lab.TLS(), lab.Images("web"))
	tutorial(t, newWorld(t, l, sample(t, "tutorial/docker-compose.yml")), sameNames)
}

func TestTheTutorialRunsOverSSH(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.CPUs(1), lab.SSH(), lab.Images("web"))
	tutorial(t, newWorld(t, l, sample(t, "tutorial/docker-compose.yml")), sameNames)
}
