package embedded

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// streams can end all streams (watches, keepalives) that clients hold open on a member. Without that etcd waits for
// them to end by themselves before it stops, 7 s long.
type streams struct {
	ctx context.Context
	end context.CancelFunc
}

func newStreams() *streams {
	s := &streams{}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// intercept is a grpc.StreamServerInterceptor.
func (s *streams) intercept(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(ss.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := handler(srv, &stream{ServerStream: ss, ctx: ctx})
	if s.ctx.Err() != nil {
		// The code by which clients go on to another member.
		return status.Error(codes.Unavailable, "the member is stopping")
	}
	return err
}

type stream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *stream) Context() context.Context { return s.ctx }
