package main_test

import (
	"strings"
	"testing"

	"berth/fixtures/lab/lab"
)

func TestFollowedLogsGoOnWithWhatStartsAndEndWithTheLast(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, `
services:
  ping: {image: "berth-lab/busybox:1", command: "sh -c 'echo begin; sleep 1000'"}
  pong: {image: "berth-lab/busybox:1", command: "sh -c 'echo begin; sleep 1000'"}
`)
	w.must("up", "-d")
	f := w.follow("logs", "-f", "--tail", "1", "--no-color")
	says := func(line string, times int) func(out, _ string) bool {
		return func(out, _ string) bool { return strings.Count(out, line+"\n") == times }
	}
	f.eventually("what runs is followed", func(out, _ string) bool {
		return strings.Contains(out, "ping-1  | begin\n") && strings.Contains(out, "pong-1  | begin\n")
	})
	w.must("restart", "-t", "0", "ping")
	f.eventually("its end is told", says("ping-1 exited with code 137", 1))
	f.eventually("the next run is followed", says("ping-1  | begin", 2))
	w.must("scale", "ping=2")
	f.eventually("a new replica is followed", says("ping-2  | begin", 1))
	w.must("down", "-t", "0")
	if err := f.cmd.Wait(); err != nil {
		t.Errorf("it ends with the last container, but: %v: %s", err, f.errs.String())
	}
	for _, name := range []string{"ping-1", "ping-2", "pong-1"} {
		if !strings.HasSuffix(f.out.String(), "\n") || !strings.Contains(f.out.String(), name+" exited with code 137\n") {
			t.Errorf("not a word of the end of %s:\n%s", name, f.out.String())
		}
	}
}
