package main_test

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// A firewall lets the command line reach the engines and nothing else: then the way to the store is through them.
func TestWhereTheStoresPortIsClosedCommandsGoThroughTheEngines(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, base+`
services:
  web: {<<: *base, deploy: {replicas: 2}}
`)
	rule := []string{"INPUT", "-s", machineAddress(t, w.lab.Hosts()[0].Address()), "-p", "tcp", "--dport", "23579", "-j", "DROP"}
	w.onHosts(append([]string{"iptables", "-I"}, rule...)...)
	t.Cleanup(func() {
		var errs []error
		for _, h := range w.lab.Hosts() {
			_, err := h.Run(context.Background(), append([]string{"iptables", "-D"}, rule...)...)
			errs = append(errs, err)
		}
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
	})
	w.must("up", "-d")
	w.must("scale", "web=3")
	if r := w.must("store", "status"); strings.Count(r.out, ":23579") != 3 {
		t.Errorf("store status:\n%s%s", r.out, r.err)
	}
	if n := len(w.tasks("web")); n == 0 {
		t.Error("no task runs")
	}
	dropped := 0
	for _, out := range w.onHosts("iptables", "-nvxL", "INPUT") {
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); strings.Contains(line, "dpt:23579") && f[0] != "0" {
				dropped++
			}
		}
	}
	if dropped == 0 {
		t.Error("nobody came to the port: commands know a way that this test does not")
	}
	w.must("down")
}
