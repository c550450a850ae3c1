package agent

import (
	"encoding/json"
	"log/slog"
	"reflect"
	"slices"
	"sync"

	"berth/runtime/identity"
)

// settings are the agent's configuration as it is now: what the command line wrote, and what the store's record of its
// members has changed since. They outlive the agent in its file.
type settings struct {
	path string // "" keeps them in memory alone
	log  *slog.Logger

	mu      sync.Mutex
	config  Config
	changed chan struct{} // closed, and made anew, when the store is elsewhere
}

func newSettings(c Config, path string, log *slog.Logger) *settings {
	return &settings{path: path, log: log, config: c, changed: make(chan struct{})}
}

// store says where the store is; changed is closed when that is no longer so.
func (s *settings) store() (c StoreConfig, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.Store, s.changed
}

// update changes the configuration and writes it. One that cannot be written counts until the agent ends.
func (s *settings) update(change func(*Config)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.config
	old.Store.Endpoints = slices.Clone(old.Store.Endpoints)
	change(&s.config)
	if reflect.DeepEqual(old, s.config) {
		return
	}
	if !slices.Equal(old.Store.Endpoints, s.config.Store.Endpoints) {
		s.log.Info("the store's members have changed", "endpoints", s.config.Store.Endpoints)
		close(s.changed)
		s.changed = make(chan struct{})
	}
	if s.path == "" {
		return
	}
	b, err := json.Marshal(s.config)
	if err == nil {
		err = identity.Replace(s.path, b)
	}
	if err != nil {
		s.log.Error("configuration not kept", "err", err)
	}
}

// reread takes the store's place over from the file: the command line writes it there when all the members that this
// host knew are gone. A file that cannot be read is about to be written.
func (s *settings) reread() {
	if s.path == "" {
		return
	}
	c, err := ReadConfig(s.path)
	if err != nil || len(c.Store.Endpoints) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(c.Store.Endpoints, s.config.Store.Endpoints) {
		s.log.Info("the store's members have changed, by the command line", "endpoints", c.Store.Endpoints)
		s.config.Store.Endpoints = c.Store.Endpoints
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// host and cluster never change.
func (s *settings) host() string    { return s.config.Host }
func (s *settings) cluster() string { return s.config.Cluster }
