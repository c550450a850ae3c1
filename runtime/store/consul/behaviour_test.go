package consul_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth/runtime/store/consul/consultest"
)

// What the driver and its other tests rely upon, the fake does as Consul does.
func TestTheFakeBehavesAsTheDriverExpects(t *testing.T) {
	behaves(t, consultest.NewFake(t).Addr())
}

func TestConsulBehavesAsTheDriverExpects(t *testing.T) {
	behaves(t, consultest.StartReal(t).Addr())
}

// asker asks a Consul by its plain HTTP interface.
type asker struct {
	t      *testing.T
	addr   string
	client *http.Client
}

type reply struct {
	code  int
	index uint64
	body  string
}

func (a asker) ask(method, path string, body string) reply {
	a.t.Helper()
	r, err := http.NewRequestWithContext(bound(a.t), method, "http://"+a.addr+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Expect", "100-continue") // so that a refusal comes before the body goes, and not into it
	resp, err := a.client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	index, _ := strconv.ParseUint(resp.Header.Get("X-Consul-Index"), 10, 64)
	return reply{resp.StatusCode, index, strings.TrimSpace(string(b))}
}

// wants checks an answer's code, and what is in its body.
func (a asker) wants(what string, r reply, code int, parts ...string) {
	a.t.Helper()
	for _, p := range parts {
		if !strings.Contains(r.body, p) {
			a.t.Errorf("%s: the body %q has no %q", what, r.body, p)
		}
	}
	if r.code != code {
		a.t.Errorf("%s: code %d, want %d: %s", what, r.code, code, r.body)
	}
}

func (a asker) txn(ops ...string) reply {
	a.t.Helper()
	return a.ask("PUT", "txn", "["+strings.Join(ops, ",")+"]")
}

func op(verb, key string, index uint64) string {
	return fmt.Sprintf(`{"KV":{"Verb":%q,"Key":%q,"Value":"eA==","Index":%d}}`, verb, key, index)
}

// indexes are the ModifyIndex of a transaction's results.
func (a asker) indexes(r reply) []uint64 {
	a.t.Helper()
	var out struct {
		Results []struct{ KV struct{ ModifyIndex uint64 } }
	}
	if err := json.Unmarshal([]byte(r.body), &out); err != nil {
		a.t.Fatalf("%s: %v", r.body, err)
	}
	var all []uint64
	for _, kv := range out.Results {
		all = append(all, kv.KV.ModifyIndex)
	}
	return all
}

func behaves(t *testing.T, addr string) {
	a := asker{t, addr, &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}}}

	t.Run("reads have the index of what they read", func(t *testing.T) {
		a.t = t
		if r := a.ask("GET", "kv/r/none", ""); r.index == 0 {
			t.Errorf("no index for an absent key")
		} else {
			a.wants("an absent key", r, 404)
		}
		a.wants("a put", a.ask("PUT", "kv/r/a", "1"), 200, "true")
		before := a.ask("GET", "kv/r/a", "")
		a.wants("a read", before, 200, `"Value":"MQ=="`, fmt.Sprintf(`"ModifyIndex":%d`, before.index))
		a.ask("PUT", "kv/r/b", "1")
		if after := a.ask("GET", "kv/r/a?consistent", ""); after.index != before.index {
			t.Errorf("another key's change moved the index from %d to %d", before.index, after.index)
		}
		list := a.ask("GET", "kv/r/?keys", "")
		a.wants("a listing", list, 200, `["r/a","r/b"]`)
		a.ask("DELETE", "kv/r/b", "")
		if less := a.ask("GET", "kv/r/?keys", ""); less.index <= list.index || less.body != `["r/a"]` {
			t.Errorf("after a deletion: %+v, before %+v", less, list)
		}
	})

	t.Run("compare-and-set", func(t *testing.T) {
		a.t = t
		a.wants("making", a.ask("PUT", "kv/c/k?cas=0", "1"), 200, "true")
		a.wants("making again", a.ask("PUT", "kv/c/k?cas=0", "1"), 200, "false")
		at := a.ask("GET", "kv/c/k", "").index
		a.wants("changing", a.ask("PUT", fmt.Sprintf("kv/c/k?cas=%d", at), "2"), 200, "true")
		a.wants("changing what has changed", a.ask("PUT", fmt.Sprintf("kv/c/k?cas=%d", at), "3"), 200, "false")
	})

	t.Run("transactions apply whole or not at all", func(t *testing.T) {
		a.t = t
		r := a.txn(op("cas", "t/head", 0), op("set", "t/1", 0))
		a.wants("the first", r, 200)
		at := a.indexes(r)
		if len(at) != 2 || at[0] != at[1] {
			t.Fatalf("the two operations have the indexes %v", at)
		}
		a.wants("at the wrong index", a.txn(op("cas", "t/head", at[0]-1), op("set", "t/2", 0)), 409, `"OpIndex":0`, "index is stale")
		a.wants("what it would have set", a.ask("GET", "kv/t/2", ""), 404)
		a.wants("at the right index", a.txn(op("cas", "t/head", at[0]), op("set", "t/2", 0), op("delete", "t/1", 0)), 200)
		a.wants("reading both", a.txn(op("get", "t/head", 0), op("get", "t/2", 0)), 200, `"Key":"t/head"`, `"Key":"t/2"`, `"Value":"eA=="`)
		a.wants("reading a missing one", a.txn(op("get", "t/2", 0), op("get", "t/1", 0)), 409, `"OpIndex":1`, "doesn't exist")
		a.wants("deleting a missing one", a.txn(op("delete", "t/1", 0)), 200)
	})

	t.Run("what is too large is refused", func(t *testing.T) {
		a.t = t
		a.wants("a value", a.ask("PUT", "kv/l/k", strings.Repeat("x", 512<<10+1)), 413)
		a.wants("a value just within", a.ask("PUT", "kv/l/k", strings.Repeat("x", 512<<10)), 200, "true")
		a.wants("a transaction", a.ask("PUT", "txn", "["+op("set", "l/k", 0)+strings.Repeat(" ", 512<<10)+"]"), 413)
		a.wants("many operations", a.txn(slicesOf(op("set", "l/many", 0), 129)...), 413, "too many operations")
		a.wants("the key", a.ask("GET", "kv/l/many", ""), 404)
	})

	t.Run("a read waits for a change", func(t *testing.T) {
		a.t = t
		a.ask("PUT", "kv/w/k", "1")
		at := a.ask("GET", "kv/w/k", "").index
		if r := a.ask("GET", fmt.Sprintf("kv/w/k?index=%d&wait=10ms", at), ""); r.index != at {
			t.Errorf("after the time to wait: %+v", r)
		}
		for path, change := range map[string]string{"kv/w/k?index=%d": "kv/w/k", "kv/w/?keys&index=%d": "kv/w/new"} {
			now := a.ask("GET", "kv/w/?keys", "").index
			came := make(chan reply, 1)
			go func() { came <- a.ask("GET", fmt.Sprintf(path, now), "") }()
			a.ask("PUT", change, "2")
			if r := <-came; r.index <= now {
				t.Errorf("%s: index %d after %d", path, r.index, now)
			}
		}
	})

	t.Run("a session holds keys and takes them with it", func(t *testing.T) {
		a.t = t
		create := func(ttl string) reply {
			return a.ask("PUT", "session/create", fmt.Sprintf(`{"TTL":%q,"Behavior":"delete","LockDelay":"1ms","NodeChecks":[]}`, ttl))
		}
		a.wants("a time too short", create("2s"), 500, "Invalid Session TTL")
		id := func(r reply) string {
			var out struct{ ID string }
			if err := json.Unmarshal([]byte(r.body), &out); err != nil {
				t.Fatal(err)
			}
			return out.ID
		}
		mine, other := id(create("10s")), id(create("10s"))
		a.wants("acquiring", a.ask("PUT", "kv/s/k?acquire="+mine, ""), 200, "true")
		a.wants("again", a.ask("PUT", "kv/s/k?acquire="+mine, ""), 200, "true")
		a.wants("another", a.ask("PUT", "kv/s/k?acquire="+other, ""), 200, "false")
		a.wants("the key", a.ask("GET", "kv/s/k", ""), 200, `"Session":"`+mine)
		a.wants("renewing", a.ask("PUT", "session/renew/"+mine, ""), 200, `"TTL":"10s"`)
		a.wants("ending", a.ask("PUT", "session/destroy/"+mine, ""), 200, "true")
		a.wants("ending again", a.ask("PUT", "session/destroy/"+mine, ""), 200, "true")
		a.wants("the key afterwards", a.ask("GET", "kv/s/k", ""), 404)
		a.wants("renewing what has ended", a.ask("PUT", "session/renew/"+mine, ""), 404)
		a.wants("acquiring for what has ended", a.ask("PUT", "kv/s/k?acquire="+mine, ""), 500, "invalid session")
	})
}

func slicesOf(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strings.Replace(s, "l/many", fmt.Sprintf("l/many%d", i), 1)
	}
	return out
}

func TestATokenIsAskedForInOneSentenceAndNeverShown(t *testing.T) {
	f := consultest.NewFake(t)
	f.Token = "known-to-few"
	checkToken(t, f.Addr(), f.Token)
}

// A Consul with ACLs: its management token, and none.
func TestConsulAsksForATokenInOneSentence(t *testing.T) {
	const token = "00000000-1111-2222-3333-444444444444"
	s := consultest.StartReal(t, `acl { enabled = true  default_policy = "deny"  tokens { initial_management = "`+token+`" agent = "`+token+`" } }`)
	checkToken(t, s.Addr(), token)
}
