package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"berth/placement"
	"berth/runtime/agent"
	"berth/runtime/engine"
)

// memberTime bounds the look at one member.
const memberTime = 10 * time.Second

// plight is how the members of a store that does not answer are found.
type plight struct {
	members []string // hosts
	data    map[string]agent.MemberData
	fresh   []string // members' hosts whose member has not served yet
	empty   []string // members' hosts that answer and have lost their data
	silent  []string // members' hosts that do not answer, or are not in the inventory
	unread  error    // why a host that answers could not say what it has
	cannot  []string // why members cannot run now, a clause each
}

// quorum reports whether most members have their data or are to begin, so that nothing is lost but time.
func (p *plight) quorum() bool { return len(p.data)+len(p.fresh) > len(p.members)/2 }

// begins reports whether the members are about to begin anew: all have lost their data, and find that out from each other.
func (p *plight) begins() bool { return len(p.empty) == len(p.members) }

// newest is the host whose member has come farthest, "" when none has data.
func (p *plight) newest() string {
	best := ""
	for _, h := range p.members {
		if d, ok := p.data[h]; ok && (best == "" || d.Committed > p.data[best].Committed) {
			best = h
		}
	}
	return best
}

// found says how the members are.
func (p *plight) found() string {
	var have, parts []string
	for _, h := range p.members {
		if _, ok := p.data[h]; ok {
			have = append(have, h)
		}
	}
	for _, part := range []struct {
		hosts []string
		what  string
	}{{have, "has its data"}, {p.fresh, "begins"}, {p.empty, "has lost it"}, {p.silent, "does not answer"}} {
		if len(part.hosts) > 0 {
			parts = append(parts, strings.Join(part.hosts, " and ")+" "+part.what)
		}
	}
	return fmt.Sprintf("of the hosts that keep it (%s), %s", strings.Join(p.members, ", "), strings.Join(parts, ", "))
}

// stuck gathers why members cannot run: a clause for all hosts of which the same is true.
func (p *plight) stuck(problems map[string][]string) {
	for _, why := range slices.Sorted(maps.Keys(problems)) {
		p.cannot = append(p.cannot, fmt.Sprintf("that on %s: %s", strings.Join(problems[why], ", "), why))
	}
}

// errStuck is the error of a store whose members cannot run for reasons that somebody can end; nil when they can.
func (p *plight) errStuck() error {
	if len(p.cannot) == 0 {
		return nil
	}
	return fmt.Errorf("the cluster's store cannot be reached: members of it cannot run: %s", strings.Join(p.cannot, "; "))
}

// lookAtMembers asks each member's host what it has of the store.
func (c *Cluster) lookAtMembers(ctx context.Context, snaps []engine.Snapshot, a *Access) *plight {
	p := &plight{members: a.Members, data: map[string]agent.MemberData{}}
	problems := map[string][]string{}
	defer func() { p.stuck(problems) }()
	for _, m := range a.Members {
		i := slices.IndexFunc(snaps, func(s engine.Snapshot) bool { return s.Host.Name == m })
		if i < 0 || snaps[i].Host.State != placement.Ready {
			p.silent = append(p.silent, m)
			continue
		}
		data, err := c.memberData(ctx, snaps[i])
		if data.Problem != "" {
			problems[data.Problem] = append(problems[data.Problem], m)
		}
		switch {
		case err != nil:
			p.silent = append(p.silent, m)
			p.unread = errors.Join(p.unread, err)
		case data.ID == "" && !data.Began:
			p.fresh = append(p.fresh, m)
		case data.ID == "":
			p.empty = append(p.empty, m)
		default:
			p.data[m] = data
		}
	}
	return p
}

// memberData asks a host's agent, which is started if it stands still; it may be there since the snapshot was taken.
func (c *Cluster) memberData(ctx context.Context, s engine.Snapshot) (agent.MemberData, error) {
	var out agent.MemberData
	e := c.engines[s.Host.Name]
	ctx, cancel := context.WithTimeout(ctx, memberTime)
	defer cancel()
	if s.Agent != nil && s.Agent.State == "exited" {
		if err := e.Start(ctx, AgentName); err != nil {
			return out, err
		}
	}
	conn, err := e.ExecStream(ctx, AgentName, []string{"/berth", "agent", "member"})
	if engine.IsNotFound(err) {
		return agent.MemberData{Began: true}, nil // it was there, and what it had is lost
	}
	if err != nil {
		return out, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	b, err := io.ReadAll(conn)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return out, fmt.Errorf("host %s: ask its agent for the store's data there: %w", s.Host.Name, err)
	}
	return out, nil
}
