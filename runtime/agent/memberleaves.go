package agent

import (
	"context"
	"errors"
	"os"
	"slices"

	"berth/runtime/store"
	"berth/runtime/store/etcd"
)

// leave clears away a member that the cluster has removed.
func (k *keeper) leave(m Member, id string) {
	k.log.Info("this host's store member was removed from the store", "id", id)
	if err := os.RemoveAll(k.dir(m)); err != nil {
		k.log.Error("data of a removed store member not deleted", "err", err)
	}
	k.mu.Lock()
	if k.want != nil && k.want.ID == m.ID {
		k.want = nil
	}
	keep := k.want != nil
	if k.declared != nil {
		if mine, ok := k.declared.Of(k.host()); ok && mine.ID != id {
			keep = true // it is to come again
		}
	}
	k.mu.Unlock()
	if keep {
		return
	}
	k.settings.update(func(c *Config) { c.Store.Member = nil })
	k.dropKeys()
	k.report(nil)
}

// dropKeys removes what only a store member has.
func (k *keeper) dropKeys() {
	for _, path := range []string{k.files.CAKey, k.files.Access} {
		if path == "" {
			continue
		}
		if err := os.Remove(path); err == nil {
			k.log.Info("removed, this host being no store member", "file", path)
		} else if !errors.Is(err, os.ErrNotExist) {
			k.log.Error("not removed, though this host is no store member", "err", err)
		}
	}
}

// unknown reports whether the store's other members say that a member is none of theirs: it was removed while it was
// away.
func (k *keeper) unknown(ctx context.Context, id string) bool {
	k.mu.Lock()
	list := k.list
	k.mu.Unlock()
	if list == nil {
		return false
	}
	members, err := list(ctx)
	return err == nil && !slices.ContainsFunc(members, func(m etcd.Member) bool { return m.Hex() == id })
}

// reach hands the keeper the store that the agent is connected to, nil when it no longer is.
func (k *keeper) reach(st store.Store) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = nil
	if m, ok := etcd.MembersOf(st); ok {
		k.list = m.List
	}
}
