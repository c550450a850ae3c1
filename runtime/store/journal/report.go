package journal

import (
	"context"
	"sync"

	"berth/runtime/store"
)

var _ store.Reporter = (*Client)(nil)

// servants are a Backend that knows its servers by themselves.
type servants interface {
	// Servers are their addresses, host:port.
	Servers() []string
	// Server says how one is. An error is why it does not serve.
	Server(ctx context.Context, addr string) (store.Server, error)
}

// Report implements store.Reporter; a backend that does not know its servers has none to tell of.
func (c *Client) Report(ctx context.Context) ([]store.Server, error) {
	b, ok := c.b.(servants)
	if !ok {
		return nil, ctx.Err()
	}
	addrs := b.Servers()
	out := make([]store.Server, len(addrs))
	var asking sync.WaitGroup
	for i, addr := range addrs {
		asking.Go(func() {
			rctx, cancel := c.request(ctx)
			defer cancel()
			var err error
			out[i], err = b.Server(rctx, addr)
			out[i].Endpoint = addr
			if err != nil {
				out[i].Problem = Cause(err, c.timeout)
			}
		})
	}
	asking.Wait()
	return out, ctx.Err()
}
