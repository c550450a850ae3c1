package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"berth/runtime/store"
)

// Servers are those of hosts.yml.
func (b *backend) Servers() []string { return b.cfg.Servers }

// Server asks one by the command "srvr", which servers answer unless it is taken from their 4lw.commands.whitelist.
func (b *backend) Server(ctx context.Context, addr string) (store.Server, error) {
	var s store.Server
	limit := sessionTime
	if end, ok := ctx.Deadline(); ok {
		limit = time.Until(end)
	}
	conn, err := b.main.dialServer(addr, limit)
	if err != nil {
		return s, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, "srvr"); err != nil {
		return s, err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 64<<10))
	if err != nil {
		return s, err
	}
	return parseServer(string(answer))
}

// parseServer reads the answer to "srvr".
func parseServer(answer string) (store.Server, error) {
	var s store.Server
	for line := range strings.Lines(answer) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch name {
		case "Zookeeper version":
			s.Version, _, _ = strings.Cut(value, "-")
		case "Mode":
			s.Role = value
			s.Leader = value == "leader" || value == "standalone"
		}
	}
	switch {
	case strings.Contains(answer, "not currently serving"):
		return s, errors.New("it does not serve: it has no leader")
	case strings.Contains(answer, "not in the whitelist"):
		return s, nil // it is there, and does not say more
	case s.Role == "":
		return s, fmt.Errorf("it answers what no ZooKeeper does: %.60q", answer)
	}
	return s, nil
}
