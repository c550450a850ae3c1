package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"berth/runtime/agent"
	"berth/runtime/engine"
	"berth/runtime/identity"
	"berth/runtime/ledger"
)

// ending reports whether a certificate, PEM, should have been renewed by now; false for one that cannot be read.
func ending(cert []byte) bool {
	c, err := identity.Parse(cert)
	return err == nil && !time.Now().Before(identity.RenewAt(c))
}

// freshen renews an access whose certificate is about to end: the store members' agents do that by themselves, but they
// may not have run for long. Where it cannot be done, the store says what is wrong. It says when the authority is about
// to end, which nothing renews.
func (c *Cluster) freshen(ctx context.Context, a *Access) {
	if root, err := identity.Parse(a.CA); err == nil && time.Until(root.NotAfter) < lastYear && !c.warned {
		c.warned = true
		c.opts.Notify(fmt.Sprintf("the cluster's certificate authority ends on %s, and the cluster with it; runtime/README.md, \"Identity\", says how to make a new one",
			root.NotAfter.Format(time.DateOnly)))
	}
	if !ending(a.Cert) {
		return
	}
	key, err := c.caKey(ctx, a)
	if err != nil {
		return
	}
	pair, err := identity.Issue(identity.KeyPair{Cert: a.CA, Key: key}, identity.Subject{Name: identity.CommandLine, Life: c.opts.CertLife})
	if err == nil {
		a.Cert, a.Key = pair.Cert, pair.Key
	}
}

// lastYear is how long before its end an authority is complained about.
const lastYear = 365 * 24 * time.Hour

// remind brings the agent of a host that is not heard of up to date with what it may have missed while it was away:
// where the store is now, and a new certificate in place of one that has ended. It reports whether the store refuses
// the host, which then has to be let in again.
func (c *Cluster) remind(ctx context.Context, host string, view *ledger.View) (refused bool, err error) {
	if !c.embedded() {
		return false, nil
	}
	cfg, err := c.agentConfig(ctx, host)
	if err != nil {
		return false, err
	}
	b, err := c.readFile(ctx, host, agent.CertFile)
	if err != nil {
		return false, err
	}
	cert, err := identity.Parse(b)
	if err != nil {
		return false, fmt.Errorf("host %s: %s in volume %s is broken: %w", host, agent.CertFile, AgentName, err)
	}
	if r, ok := view.Refused[host]; ok && (r.Admitted == "" || r.Admitted != cert.Subject.SerialNumber) {
		return true, nil
	}
	files := map[string][]byte{}
	if !slices.Equal(cfg.Store.Endpoints, c.access.Endpoints) {
		cfg.Store.Endpoints = c.access.Endpoints
		if files[agent.ConfigFile], err = json.Marshal(cfg); err != nil {
			return false, err
		}
	}
	if !time.Now().Before(identity.RenewAt(cert)) {
		key, err := c.caKey(ctx, c.access)
		if err != nil {
			return false, err
		}
		subject := identity.SubjectOf(cert)
		subject.Life = c.opts.CertLife
		pair, err := identity.Issue(identity.KeyPair{Cert: c.access.CA, Key: key}, subject)
		if err != nil {
			return false, err
		}
		files[agent.CertFile] = pair.One()
	}
	if len(files) == 0 {
		return false, nil
	}
	return false, c.hand(ctx, c.engines[host], files)
}

// hand puts files into an agent's volume. It takes them up by itself.
func (c *Cluster) hand(ctx context.Context, e *engine.Engine, files map[string][]byte) error {
	return e.CopyTo(ctx, AgentName, "/", tarFiles(files))
}
