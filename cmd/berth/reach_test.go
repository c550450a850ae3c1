package main_test

import (
	"testing"

	"berth/fixtures/lab/lab"
)

func TestTheTutorialRunsOverTLS(t *testing.T) {
	l := lab.Start(t, lab.Hosts(3), lab.CPUs(1), lab.TLS(), lab.Images("web"))
	tutorial(t, newWorld(t, l, sample(t, "tutorial/docker-compose.yml")))
}

func TestTheTutorialRunsOverSSH(t *testing.T) {
	l := lab.Start(t, lab.Hosts(3), lab.CPUs(1), lab.SSH(), lab.Images("web"))
	tutorial(t, newWorld(t, l, sample(t, "tutorial/docker-compose.yml")))
}
