package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"berth/runtime/identity"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// ownCertificate is this host's certificate when it is one of the cluster's own authority, which is so with the embedded
// store; nil when it is not. Certificate and key come to lie in one file, so that they are renewed both or neither.
func ownCertificate(files Files) (*identity.KeyPair, error) {
	pair, err := identity.Load(files.Cert, files.Key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // an external store may need none
	}
	if err != nil {
		return nil, fmt.Errorf("read this host's certificate: %w", err)
	}
	cert, err := identity.Parse(pair.Cert)
	if err != nil || !slices.Contains(cert.DNSNames, store.ServerName) {
		return nil, nil // someone else's
	}
	if bytes.Equal(pair.Cert, pair.Key) {
		return &pair, nil // they do
	}
	return &pair, identity.Save(pair, files.Cert, files.Key)
}

// look is the longest that a due date is waited for at once: the clock may be set meanwhile.
const look = time.Hour

// signer keeps certificates from ending. On a store member it has the authority's key: there it signs the host's own,
// the command line's, and those that other hosts ask for. Elsewhere it asks.
type signer struct {
	host  string
	files Files
	life  time.Duration
	log   *slog.Logger
}

func newSigner(c Config, files Files, log *slog.Logger) *signer {
	return &signer{host: c.Host, files: files, life: time.Duration(c.CertLife) * time.Second, log: log}
}

// authority is the cluster's authority with its key; false where the key is not, or with an external store.
func (s *signer) authority() (identity.KeyPair, bool) {
	if s.files.CAKey == "" {
		return identity.KeyPair{}, false
	}
	key, err := os.ReadFile(s.files.CAKey)
	if err != nil {
		return identity.KeyPair{}, false
	}
	cert, err := os.ReadFile(s.files.CA)
	return identity.KeyPair{Cert: cert, Key: key}, err == nil
}

// run renews what this host can renew by itself until ctx ends.
func (s *signer) run(ctx context.Context) {
	for ctx.Err() == nil {
		_ = sleep(ctx, min(look, max(time.Until(s.renewOwn()), time.Second)))
	}
}

// renewOwn renews the host's certificate and the command line's if they are due and the authority's key is here. It
// returns when they are due next.
func (s *signer) renewOwn() time.Time {
	next := time.Now().Add(look)
	ca, ok := s.authority()
	if !ok {
		return next
	}
	if pair, err := ownCertificate(s.files); err == nil && pair != nil {
		renewed, at, err := s.renew(ca, *pair)
		if err == nil && renewed != nil {
			err = identity.Save(*renewed, s.files.Cert, s.files.Key)
		}
		s.said("this host's certificate", renewed != nil, at, err)
		next = sooner(next, at)
	}
	err := changeAccess(s.files.Access, func(a *Access) (bool, error) {
		renewed, at, err := s.renew(ca, identity.KeyPair{Cert: a.Cert, Key: a.Key})
		if renewed != nil {
			a.Cert, a.Key = renewed.Cert, renewed.Key
		}
		next = sooner(next, at)
		return renewed != nil, err
	})
	s.said("the command line's certificate", false, next, err)
	return next
}

func sooner(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// renew makes a new certificate in place of one that is due; nil when it is not. It returns when the one that then
// counts is due.
func (s *signer) renew(ca, old identity.KeyPair) (*identity.KeyPair, time.Time, error) {
	cert, err := identity.Parse(old.Cert)
	if err != nil {
		return nil, time.Time{}, err
	}
	at := identity.RenewAt(cert)
	if root, err := identity.Parse(ca.Cert); time.Now().Before(at) || err == nil && !cert.NotAfter.Before(root.NotAfter) {
		return nil, at, err
	}
	subject := identity.SubjectOf(cert)
	subject.Life = s.life
	pair, err := identity.Issue(ca, subject)
	if err != nil {
		return nil, time.Time{}, err
	}
	if cert, err = identity.Parse(pair.Cert); err != nil {
		return nil, time.Time{}, err
	}
	return &pair, identity.RenewAt(cert), nil
}

func (s *signer) said(what string, renewed bool, next time.Time, err error) {
	switch {
	case err != nil:
		s.log.Error(what+" not renewed", "err", err)
	case renewed:
		s.log.Info(what+" renewed", "next", next.Format(time.RFC3339))
	}
}

// ask renews this host's certificate with the help of a store member, whenever it is due, until ctx ends.
func (s *signer) ask(ctx context.Context, st store.Store) {
	for ctx.Err() == nil {
		at := time.Now().Add(look)
		if _, here := s.authority(); !here {
			pair, err := ownCertificate(s.files)
			if err == nil && pair == nil {
				return // the external store's certificates are not ours
			}
			if err == nil {
				at, err = s.askIfDue(ctx, st, *pair)
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				s.said("this host's certificate", false, at, err)
				at = time.Now().Add(lastPause)
			}
		}
		_ = sleep(ctx, min(look, max(time.Until(at), time.Second)))
	}
}

// askIfDue asks for a new certificate if the old one is due, and waits for the answer. It returns when the next is due.
func (s *signer) askIfDue(ctx context.Context, st store.Store, old identity.KeyPair) (time.Time, error) {
	cert, err := identity.Parse(old.Cert)
	if err != nil {
		return time.Time{}, err
	}
	if at := identity.RenewAt(cert); time.Now().Before(at) {
		return at, nil
	}
	request, key, err := identity.Ask(old)
	if err != nil {
		return time.Time{}, err
	}
	value, err := json.Marshal(ledger.Renewal{Request: request})
	if err != nil {
		return time.Time{}, err
	}
	mine := ledger.RenewalKey(s.host)
	rev, err := st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: mine, Value: value}}})
	if err != nil {
		return time.Time{}, err
	}
	answer, err := s.answer(ctx, st, mine, rev)
	if err != nil {
		return time.Time{}, err
	}
	pair := identity.KeyPair{Cert: answer, Key: key}
	fresh, err := pair.TLS()
	if err != nil {
		return time.Time{}, fmt.Errorf("the answer: %w", err)
	}
	if err := identity.Save(pair, s.files.Cert, s.files.Key); err != nil {
		return time.Time{}, err
	}
	at := identity.RenewAt(fresh.Leaf)
	s.said("this host's certificate", true, at, nil)
	_, err = st.Commit(ctx, store.Txn{Deletes: []string{mine}})
	return at, err
}

// answerTime is how long a store member may take to answer.
const answerTime = 10 * time.Second

// answer waits for the certificate under a key.
func (s *signer) answer(ctx context.Context, st store.Store, key string, after int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for b := range st.Watch(ctx, key, after) {
		for _, e := range b.Events {
			var r ledger.Renewal
			if e.Key == key && !e.Deleted && json.Unmarshal(e.Value, &r) == nil && len(r.Cert) > 0 {
				return r.Cert, nil
			}
		}
	}
	return nil, fmt.Errorf("no store member has answered within %s; the next \"berth up\" renews it", answerTime)
}

// sign answers another host's request, if the authority's key is here. refused is as for identity.Gate.Refuse.
func (s *signer) sign(ctx context.Context, st store.Store, host string, p store.Pair, refused map[string]string) {
	var r ledger.Renewal
	ca, ok := s.authority()
	if !ok || json.Unmarshal(p.Value, &r) != nil || len(r.Cert) > 0 {
		return
	}
	cert, err := identity.Renew(ca, host, r.Request, refused, s.life)
	if err != nil {
		s.log.Error("certificate not renewed", "for", host, "err", err)
		return
	}
	r.Cert = cert
	value, err := json.Marshal(r)
	if err == nil {
		_, err = st.Commit(ctx, store.Txn{
			Compares: []store.Compare{{Key: p.Key, Modified: p.Modified}},
			Puts:     []store.Put{{Key: p.Key, Value: value}},
		})
	}
	switch {
	case err == nil:
		s.log.Info("certificate renewed", "for", host)
	case !errors.Is(err, store.ErrConflict) && ctx.Err() == nil: // another member was first
		s.log.Error("certificate not renewed", "for", host, "err", err)
	}
}
