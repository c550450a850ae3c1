package embedded_test

import (
	"errors"
	"testing"

	"berth/runtime/store"
	"berth/runtime/store/embedded"
	"berth/runtime/store/embedded/embeddedtest"
	"berth/runtime/store/etcd"
)

func TestOneOfThreeMembersGoesOnAloneAndTheOthersAreOut(t *testing.T) {
	ctx := bound(t)
	c := embeddedtest.Start(t, 3)
	st := c.Open(t)
	write(ctx, t, st, "k", "v")
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	// A follower hears with the next message that most have a change. What it has not heard so of, it drops when it is alone.
	first := etcd.Config{Endpoints: c.Endpoints(t)[:1], TLS: c.TLS, Timeout: embeddedtest.StartLimit}
	one, err := etcd.Open(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Get(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		c.StopMember(i)
	}
	data, err := embedded.Read(c.Configs[0].DataDir)
	if err != nil || data.Committed == 0 {
		t.Errorf("the member's files say %+v, %v", data, err)
	}
	if _, err := embedded.Read(t.TempDir()); !errors.Is(err, embedded.ErrDataGone) {
		t.Errorf("an empty folder: %v", err)
	}

	c.Configs[0].Alone, c.Configs[0].First = true, []store.Put{{Key: "first", Value: []byte("of all")}}
	if err := c.StartMember(ctx, 0); err != nil {
		t.Fatal(err)
	}
	alone, err := etcd.Open(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	snap, err := alone.Get(ctx, "")
	if err != nil || len(snap.Pairs) != 2 || snap.Pairs[0].Key != "first" || string(snap.Pairs[1].Value) != "v" {
		t.Errorf("alone it has %+v, %v", snap, err)
	}
	members, _ := etcd.MembersOf(alone)
	if list, err := members.List(ctx); err != nil || len(list) != 1 || list[0].Name != "m0" || list[0].Hex() != data.ID {
		t.Errorf("its members are %+v, %v", list, err)
	}

	// The others are most of what was: they would go on by themselves if they were not told.
	ended := make(chan error, 2)
	for _, i := range []int{1, 2} {
		cfg := c.Configs[i]
		go func() {
			s, err := embedded.Start(ctx, cfg)
			if err == nil {
				select {
				case <-s.Ended():
				case <-ctx.Done():
					err = ctx.Err()
				}
				s.Stop()
			}
			ended <- err
		}()
	}
	for range 2 {
		if err := <-ended; ctx.Err() != nil {
			t.Fatalf("a member that was left behind goes on: %v", err)
		}
	}

	// Once more it starts as it is: alone is what it is now.
	c.StopMember(0)
	c.Configs[0].Alone, c.Configs[0].First = false, nil
	if err := c.StartMember(ctx, 0); err != nil {
		t.Fatal(err)
	}
	write(ctx, t, alone, "k", "later")
}
