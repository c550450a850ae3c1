package cli

import (
	"io"
	"net"
	"strings"
	"testing"
)

// It is what the command line runs in an agent's container to reach the store where its port is not open.
func TestARelayIsToldWhereToGo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // until the relay has been answered, or the listener is closed
		c, err := l.Accept()
		if err == nil {
			asked, _ := io.ReadAll(c)
			_, _ = c.Write([]byte("you said " + string(asked)))
			c.Close()
		}
	}()
	var out, said strings.Builder
	code := Main([]string{"berth", "agent", "relay", l.Addr().String()}, Env{Stdin: strings.NewReader("hello"), Stdout: &out, Stderr: &said})
	if code != 0 || out.String() != "you said hello" {
		t.Errorf("exit code %d, %q, %s", code, out.String(), said.String())
	}
}
