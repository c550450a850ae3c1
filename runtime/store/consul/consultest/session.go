package consultest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// session is one that holds keys.
type session struct {
	id       string
	ttl      time.Duration
	delay    time.Duration
	behavior string
	timer    *time.Timer // ends it
}

const maxSessionTTL = 24 * time.Hour

func (f *Fake) session(r *http.Request, verb, id string) answer {
	switch verb {
	case "create":
		return f.createSession(r)
	case "renew":
		f.mu.Lock()
		defer f.mu.Unlock()
		s := f.sessions[id]
		if s == nil {
			return failure(http.StatusNotFound, "Session id '%s' not found", id)
		}
		s.timer.Reset(2 * s.ttl)
		return answer{index: f.index, body: []map[string]any{{"ID": s.id, "TTL": s.ttl.String(), "Behavior": s.behavior, "LockDelay": s.delay}}}
	case "destroy":
		f.mu.Lock()
		defer f.mu.Unlock()
		f.endSession(id)
		return answer{body: true}
	}
	return failure(http.StatusNotFound, "Invalid URL path: not a recognized HTTP API endpoint")
}

func (f *Fake) createSession(r *http.Request) answer {
	var in struct{ TTL, Behavior, LockDelay string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return failure(http.StatusBadRequest, "Request decode failed: %w", err)
	}
	s := &session{behavior: in.Behavior, delay: 15 * time.Second}
	var err error
	if in.LockDelay != "" {
		if s.delay, err = time.ParseDuration(in.LockDelay); err != nil {
			return failure(http.StatusBadRequest, "Request decode failed: %w", err)
		}
	}
	if s.ttl, err = time.ParseDuration(in.TTL); err != nil {
		return failure(http.StatusInternalServerError, "Session TTL '%s' invalid: %w", in.TTL, err)
	}
	if s.ttl < f.MinSessionTTL || s.ttl > maxSessionTTL {
		return failure(http.StatusInternalServerError, "Invalid Session TTL '%d', must be between [%v=%v]", s.ttl, f.MinSessionTTL, maxSessionTTL)
	}
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	s.id = fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions[s.id] = s
	f.index++
	// A session ends after twice its time.
	s.timer = time.AfterFunc(2*s.ttl, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.endSession(s.id)
	})
	return answer{body: map[string]string{"ID": s.id}}
}

// endSession lets go, or deletes, what the session holds. The caller has mu.
func (f *Fake) endSession(id string) {
	s := f.sessions[id]
	if s == nil {
		return
	}
	s.timer.Stop()
	delete(f.sessions, id)
	at := f.change()
	for key, p := range f.pairs {
		if p.Session != id {
			continue
		}
		if s.behavior == "delete" {
			f.remove(key, at)
		} else {
			freed := *p
			freed.Session, freed.ModifyIndex = "", at
			f.pairs[key] = &freed
		}
		if s.delay > 0 {
			f.delayed[key] = time.Now().Add(s.delay)
		}
	}
}

// acquire locks a key for a session. The caller has mu.
func (f *Fake) acquire(key string, value []byte, id string) answer {
	if f.sessions[id] == nil {
		return failure(http.StatusInternalServerError, "invalid session %q", id)
	}
	if p := f.pairs[key]; p != nil && p.Session != "" && p.Session != id || time.Now().Before(f.delayed[key]) {
		return answer{body: false}
	}
	p := f.set(key, value, f.change())
	if p.Session == "" {
		p.LockIndex++
	}
	p.Session = id
	return answer{body: true}
}
