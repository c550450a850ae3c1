package embedded

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"berth/runtime/store"
)

// Data is what a member's files say of it.
type Data struct {
	ID string // of the member, hexadecimal digits
	// Committed is the index of the last change of which the member knows that most members had it. Of members that lost the
	// others, the one that has come farthest has the newest data.
	Committed uint64
}

// Read reads a member's files, whether it runs or not; ErrDataGone when there are none.
func Read(dataDir string) (Data, error) {
	dir := filepath.Join(dataDir, "member", "wal")
	if !wal.Exist(dir) {
		return Data{}, fmt.Errorf("embedded store: %s: %w", dataDir, ErrDataGone)
	}
	fail := func(err error) (Data, error) { return Data{}, fmt.Errorf("embedded store: read %s: %w", dir, err) }
	nop := zap.NewNop()
	snaps, err := wal.ValidSnapshotEntries(nop, dir)
	if err != nil {
		return fail(err)
	}
	if len(snaps) == 0 {
		return fail(errors.New("it has no beginning"))
	}
	w, err := wal.OpenForRead(nop, dir, snaps[len(snaps)-1])
	if err != nil {
		return fail(err)
	}
	defer w.Close()
	about, state, _, err := w.ReadAll()
	if err != nil {
		return fail(err)
	}
	var meta etcdserverpb.Metadata
	if err := proto.Unmarshal(about, &meta); err != nil {
		return fail(err)
	}
	return Data{ID: strconv.FormatUint(meta.GetNodeID(), 16), Committed: state.GetCommit()}, nil
}

// door keeps clients waiting until a member is ready for them.
type door struct {
	open  chan struct{} // closed when it is
	ended <-chan struct{}
}

func newDoor(first []store.Put, ended <-chan struct{}) *door {
	d := &door{make(chan struct{}), ended}
	if len(first) == 0 {
		close(d.open)
	}
	return d
}

func (d *door) pass(ctx context.Context) error {
	select {
	case <-d.open:
		return nil
	case <-d.ended:
		return status.Error(codes.Unavailable, "the member is stopping") // by which clients go on to another one
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// unary is a grpc.UnaryServerInterceptor.
func (d *door) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := d.pass(ctx); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

// putFirst puts what has to be there before a client asks, in one transaction, and lets them in.
func (s *Server) putFirst(ctx context.Context, first []store.Put) error {
	if len(first) == 0 {
		return nil
	}
	t := &etcdserverpb.TxnRequest{}
	for _, p := range first {
		t.Success = append(t.Success, &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestPut{
			RequestPut: &etcdserverpb.PutRequest{Key: []byte(p.Key), Value: p.Value},
		}})
	}
	if _, err := s.etcd.Server.Txn(ctx, t); err != nil {
		return fmt.Errorf("put what comes first: %w", err)
	}
	close(s.door.open)
	return nil
}
