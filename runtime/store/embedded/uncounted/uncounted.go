// Package uncounted keeps etcd's figures out of Prometheus' registry. Importing it is all there is to do.
//
// etcd registers some 130 metrics while a program starts. Nobody reads them in berth, and each registration starts a
// goroutine and waits for it; as a Go program is bound to its first thread while it starts, every one of them is two switches
// between threads: a fifth of the time that `berth version` takes. Go initialises packages in the order of their
// import paths as soon as what they import is ready, so this one comes between Prometheus and go.etcd.io (a test holds it
// to that). The figures themselves go on counting, which costs next to nothing.
package uncounted

import "github.com/prometheus/client_golang/prometheus"

func init() { prometheus.DefaultRegisterer = none{} }

// none is a registry that takes everything and keeps nothing.
type none struct{}

func (none) Register(prometheus.Collector) error  { return nil }
func (none) MustRegister(...prometheus.Collector) {}
func (none) Unregister(prometheus.Collector) bool { return true }
