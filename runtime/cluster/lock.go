package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"berth/runtime/ledger"
	"berth/runtime/store"
)

// lockTTL is how long a lock outlives a command whose machine vanished, in seconds. A command that was killed is
// recognised at once by the next one on the same machine. It outlasts the loss of the store's leader on busy hosts: an
// election takes 1–2 s, several when votes are split or disks stall.
const lockTTL = 30

// ProjectLock is the right to change one project of the cluster.
type ProjectLock struct {
	lease *store.Lease
	guard store.Compare
	took  time.Time // when it was taken from a command that died; zero when it was free
}

// Lock takes the lock of a project. Held by a live command it waits for that to end, after telling notify once who it
// is; one left by a dead process of this machine is taken over.
func Lock(ctx context.Context, st store.Store, project, command string, notify func(string)) (*ProjectLock, error) {
	me, err := self(command)
	if err != nil {
		return nil, err
	}
	lease, err := st.Lease(ctx, lockTTL)
	if err != nil {
		return nil, fmt.Errorf("lock project %s: %w", project, err)
	}
	l := &ProjectLock{lease: lease}
	rev, err := l.acquire(ctx, st, project, me, notify)
	if err != nil {
		_ = lease.Revoke(context.WithoutCancel(ctx)) // else it ends by itself
		return nil, fmt.Errorf("lock project %s: %w", project, err)
	}
	l.guard = store.Compare{Key: ledger.LockKey(project), Modified: rev}
	return l, nil
}

func (l *ProjectLock) acquire(ctx context.Context, st store.Store, project string, me ledger.Lock, notify func(string)) (int64, error) {
	key := ledger.LockKey(project)
	value, err := json.Marshal(me)
	if err != nil {
		return 0, err
	}
	told := false
	for {
		snap, err := st.Get(ctx, key)
		if err != nil {
			return 0, err
		}
		held := store.Compare{Key: key}
		for _, p := range snap.Pairs {
			if p.Key != key {
				continue
			}
			var holder ledger.Lock
			if json.Unmarshal(p.Value, &holder) == nil && !dead(holder, me) {
				if !told {
					notify(fmt.Sprintf("waiting for \"%s\" (process %d on %s) to finish with project %s", holder.Command, holder.PID, holder.Machine, project))
					told = true
				}
				if err := nextEvent(ctx, st, key, snap.Revision); err != nil {
					return 0, err
				}
				held.Modified = -1
				break
			}
			held.Modified = p.Modified
		}
		if held.Modified < 0 {
			continue
		}
		rev, err := st.Commit(ctx, store.Txn{
			Compares: []store.Compare{held},
			Puts:     []store.Put{{Key: key, Value: value, Lease: l.lease.ID}},
		})
		if err == nil {
			if held.Modified > 0 {
				l.took = time.Now()
			}
			return rev, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return 0, err
		}
	}
}

// Guard is the compare that makes a transaction fail when the lock is no longer this command's.
func (l *ProjectLock) Guard() store.Compare { return l.guard }

// Lost is closed when the lock has ended without Unlock.
func (l *ProjectLock) Lost() <-chan struct{} { return l.lease.Lost }

// Unlock gives the lock back.
func (l *ProjectLock) Unlock(ctx context.Context) error { return l.lease.Revoke(ctx) }

// self describes this process.
func self(command string) (ledger.Lock, error) {
	machine, err := os.Hostname()
	if err != nil {
		return ledger.Lock{}, err
	}
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		machine += "/" + strings.TrimSpace(string(id))
	}
	// Process numbers mean something within one PID namespace only.
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil {
		machine += "/" + ns
	}
	me := ledger.Lock{Machine: machine, PID: os.Getpid(), Command: command}
	me.Started, _ = startTime(me.PID)
	return me, nil
}

// dead reports whether the holder is a process of this machine, since its last boot, that no longer runs.
func dead(holder, me ledger.Lock) bool {
	if holder.Machine != me.Machine {
		return false
	}
	started, err := startTime(holder.PID)
	return errors.Is(err, os.ErrNotExist) || err == nil && started != holder.Started
}

// startTime is when a process began, in clock ticks since boot: field 22 of /proc/<pid>/stat (proc(5)).
func startTime(pid int) (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The command, field 2, is in parentheses and may hold anything.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("process %d: unexpected stat", pid)
	}
	return strconv.ParseInt(fields[19], 10, 64)
}

// lateTime is how long after a command was killed what it had asked of the engines may take effect.
const lateTime = 2 * time.Second

// AwaitLate waits, if the lock was left by a command that died, until what that had asked of the engines should have taken
// effect: a container that it was stopping runs until then. It reports whether there was one; what was observed before may
// not be so any more.
func (c *Cluster) AwaitLate(ctx context.Context) bool {
	if c.lock == nil || c.lock.took.IsZero() {
		return false
	}
	t := time.NewTimer(time.Until(c.lock.took.Add(lateTime)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return true
}

// Locked reports whether the cluster holds a project's lock.
func (c *Cluster) Locked() bool { return c.lock != nil }
