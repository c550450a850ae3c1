package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// Relay joins a TCP address with standard input and output: the command line runs it by an exec in the agent's
// container to reach the store where its port is not open. It returns when the other side has said all. What reads
// stdin then ends with the process, since reading a pipe cannot be called off.
func Relay(ctx context.Context, addr string, stdin io.Reader, stdout io.Writer) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("agent: relay to %s: %w", addr, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(conn, stdin)
		// Half closed: the other side may still have something to say.
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	if _, err := io.Copy(stdout, conn); err != nil && ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("agent: relay to %s: %w", addr, err)
	}
	return ctx.Err()
}
