package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// How many bytes have to be free where a store member keeps its data. etcd sets its log aside in pieces of 64 MB and its
// database in pieces of 16 MB, and ends the whole process when it cannot write. So the member stops before: the agent, and
// with it names, goes on without it.
const (
	roomToBegin = 80 << 20
	roomToStay  = 8 << 20
	roomEvery   = 30 * time.Second // between two looks
)

// room is how many bytes are free where a member's data is, or will be.
func room(dir string) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		if err := unix.Statfs(filepath.Dir(dir), &fs); err != nil {
			return 0, err
		}
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}

// noRoom says why the member whose data is, or will be, in that folder cannot begin; "" when it can.
func noRoom(dir string) string {
	if free, err := room(dir); err != nil || free >= roomToBegin {
		return "" // etcd says what is wrong with a folder that cannot be looked at
	}
	return fmt.Sprintf("its disk is full: less than %d MiB are free for the volume berth-agent; make room there, and it goes on by itself", roomToBegin>>20)
}

// watchRoom says when a member that runs has to stop for want of room.
func (k *keeper) watchRoom(ctx context.Context, dir string, full chan<- string) {
	tick := time.NewTicker(roomEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if free, err := room(dir); err == nil && free < roomToStay {
				full <- noRoom(dir)
				return
			}
		}
	}
}
