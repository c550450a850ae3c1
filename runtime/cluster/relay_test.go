package cluster

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"berth/runtime/agent"
	"berth/runtime/store/etcd"
)

// endingConn is a connection whose other side has ended.
type endingConn struct {
	net.Conn
	err error
}

func (e endingConn) Read([]byte) (int, error) { return 0, e.err }

func TestAMemberThatARelayDoesNotReachHasNotHungUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	complaint := agent.Relay(t.Context(), closed, strings.NewReader(""), io.Discard)
	if complaint == nil {
		t.Fatal("a relay to a closed port reaches somebody")
	}
	sentence := func(err error) string {
		_, read := (&relayed{endingConn{err: err}, "host2"}).Read(nil)
		return (&etcd.UnreachableError{Endpoints: []string{closed}, Causes: []error{read}, TLS: true}).Error()
	}
	// As the engine's adapter gives what came on standard error, when the command has ended.
	got := sentence(fmt.Errorf("run /berth agent relay %s in container %s: berth: %w: %w", closed, AgentName, complaint, io.EOF))
	if want := "cannot be reached: connection refused, by way of host host2;"; !strings.Contains(got, want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := sentence(io.EOF); !strings.Contains(got, "hung up") {
		t.Errorf("of a member that hangs up: %s", got)
	}
}
