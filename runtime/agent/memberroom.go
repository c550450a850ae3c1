package agent

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// memberRoom is how many bytes have to be free where a store member keeps its data, for it to begin. etcd sets its log aside
// in pieces of 64 MB and ends the whole process when it cannot: with the member waiting, the agent goes on without it.
const memberRoom = 80 << 20

// NoRoom says why the member whose data is, or will be, in that folder cannot begin; "" when it can.
func NoRoom(dir string) string {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil && unix.Statfs(filepath.Dir(dir), &fs) != nil {
		return "" // etcd says what is wrong with it
	}
	if fs.Bavail*uint64(fs.Bsize) >= memberRoom {
		return ""
	}
	return fmt.Sprintf("its disk is full: less than %d MiB are free for the volume berth-agent; make room there, and it goes on by itself", memberRoom>>20)
}

// MemberProblem says why this host's store member cannot run now, from its configuration and its disk; "" when it can, or
// has none.
func MemberProblem(c Config, data string) string {
	if c.Store.Member == nil {
		return ""
	}
	return NoRoom(memberDir(data, *c.Store.Member))
}

// memberDir is the data folder of a member.
func memberDir(data string, m Member) string {
	if m.ID == "" {
		return data
	}
	return data + "-" + m.ID
}
