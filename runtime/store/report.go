package store

import "context"

// Reporter is a Store that can say how its servers are. Not all can.
type Reporter interface {
	// Report asks each server by itself, within the driver's time limit. A server that does not answer is in the result;
	// an error is the end of ctx.
	Report(ctx context.Context) ([]Server, error)
}

// Server is one server of a store, as its client sees it.
type Server struct {
	Endpoint string `json:"endpoint"`          // host:port
	Problem  string `json:"problem,omitempty"` // why it does not serve, one sentence; "" when it does
	Leader   bool   `json:"leader,omitempty"`
	Role     string `json:"role,omitempty"` // leader, follower; standalone (ZooKeeper), agent (Consul); "" where it does not say
	Version  string `json:"version,omitempty"`
	Revision int64  `json:"revision,omitempty"` // that it has come to
	Size     int64  `json:"size,omitempty"`     // of its database on disk, bytes
}
