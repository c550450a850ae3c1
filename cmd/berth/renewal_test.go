package main_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/agent"
	"berth/runtime/identity"
)

// Certificates that live for half a minute stand for those that live for three months.
func TestCertificatesAreRenewedBeforeTheyEnd(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(2), lab.Images("busybox"))
	w := newWorld(t, l, base+`
services:
  web: {<<: *base, deploy: {placement: {constraints: [node.hostname == host1]}}}
  db: {<<: *base, command: ["sh", "-c", "ping web > /pings; exec sleep 1000"], deploy: {placement: {constraints: [node.hostname == host2]}}}
`)
	w.env = append(w.env, "BERTH_CERT_LIFE=30s")
	w.must("up", "-d")
	end := func(cert []byte) time.Time {
		c, err := identity.Parse(cert)
		if err != nil {
			t.Fatal(err)
		}
		return c.NotAfter
	}
	cli := func() []byte {
		var a agent.Access
		if err := json.Unmarshal(w.file("host1", "access.json"), &a); err != nil {
			t.Fatal(err)
		}
		return a.Cert
	}
	// host1 is the store's member and signs its own and the command line's, host2 asks for its.
	firsts := map[string]time.Time{"host1": end(w.file("host1", "cert.pem")), "host2": end(w.file("host2", "cert.pem")), "command line": end(cli())}
	eventually(t, "all have new ones, and those of before have ended", func() bool {
		now := map[string]time.Time{"host1": end(w.file("host1", "cert.pem")), "host2": end(w.file("host2", "cert.pem")), "command line": end(cli())}
		for who, first := range firsts {
			if !now[who].After(first) || time.Now().Before(first) {
				return false
			}
		}
		return true
	})
	// Nothing was restarted for it, and everybody still talks with everybody.
	for _, h := range []string{"host1", "host2"} {
		if log := w.log(h); strings.Count(log, "agent starts") != 1 || strings.Count(log, "store connected") != 1 || strings.Contains(log, "lease ended") {
			t.Errorf("%s was interrupted:\n%s", h, log)
		}
	}
	w.must("up", "-d", "--force-recreate", "-t", "0")
	if got := w.resolve(w.container("db", 1), "web"); len(got) != 1 {
		t.Errorf("db resolves web to %v", got)
	}
	if dump := w.must("store", "dump").out; strings.Contains(dump, "berth/renewals/") && !strings.Contains(dump, `"csr"`) {
		t.Errorf("a request was left: %s", dump)
	}

	// An agent that was away for longer than its certificate lives gets a new one from the next command.
	h := l.Hosts()[1]
	if _, err := h.Run(t.Context(), "docker", "stop", "berth-agent"); err != nil {
		t.Fatal(err)
	}
	ended := end(w.file("host2", "cert.pem"))
	eventually(t, "its certificate ends", func() bool { return time.Now().After(ended) })
	w.must("up", "-d")
	if end(w.file("host2", "cert.pem")).Before(time.Now()) {
		t.Error("host2 has its old certificate")
	}
}
