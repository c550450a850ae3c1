package agent

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

func TestRelayCarriesBothWaysAndEndsWithTheOtherSide(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		asked, _ := io.ReadAll(c) // until the relay's input has ended
		_, _ = c.Write([]byte("you said " + string(asked)))
	})
	defer wg.Wait()
	var out bytes.Buffer
	if err := Relay(t.Context(), l.Addr().String(), strings.NewReader("hello"), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != "you said hello" {
		t.Errorf("got %q", out.String())
	}
}

func TestRelayEndsWithItsContextAndNamesWhatItCannotReach(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in, _ := io.Pipe()
	defer in.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Relay(ctx, l.Addr().String(), in, io.Discard) }()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	<-done
	l.Close()
	if err := Relay(t.Context(), l.Addr().String(), in, io.Discard); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("error %v, want one that names the address", err)
	}
}
