package embedded

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/zap"
)

// spaceEvery is the time between two looks whether the database has reached its quota. Looking costs a lookup in memory.
const spaceEvery = 30 * time.Second

// spaceTime bounds the compaction before a defragmentation.
const spaceTime = 10 * time.Second

// keepSpace lets the store be written again when a member's database has reached its quota. etcd then raises an alarm, under
// which nothing can be put until somebody has compacted, defragmented and cleared it. History is what takes the room, and
// watches that miss it read anew.
func (s *Server) keepSpace(ctx context.Context, quota int64, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.outOfSpace() {
				s.makeSpace(ctx, quota)
			}
		}
	}
}

// outOfSpace reports whether this member has raised the alarm.
func (s *Server) outOfSpace() bool {
	for _, a := range s.etcd.Server.Alarms() {
		if a.Alarm == pb.AlarmType_NOSPACE && a.MemberID == uint64(s.etcd.Server.MemberID()) {
			return true
		}
	}
	return false
}

func (s *Server) makeSpace(ctx context.Context, quota int64) {
	ctx, cancel := context.WithTimeout(ctx, spaceTime)
	defer cancel()
	e, log := s.etcd.Server, s.etcd.GetLogger()
	// Another member may have compacted to there already, which is no error that matters.
	_, _ = e.Compact(ctx, &pb.CompactionRequest{Revision: e.KV().Rev(), Physical: true})
	if err := e.Defragment(); err != nil {
		log.Error("the store's database is full and cannot be defragmented", zap.Error(err))
		return
	}
	if used := e.Backend().SizeInUse(); used > quota*9/10 {
		log.Error("the store's database is full of what is kept; nothing can be written", zap.Int64("bytes", used), zap.Int64("quota", quota))
		return
	}
	if _, err := e.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: uint64(e.MemberID()), Alarm: pb.AlarmType_NOSPACE}); err != nil {
		log.Error("the alarm of the store's full database is not cleared", zap.Error(err))
		return
	}
	log.Warn("the store's database was full of history, which was dropped")
}
