package consultest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is what a request gets.
type answer struct {
	code  int    // 0: 200
	index uint64 // 0: none
	body  any    // JSON; an error is a line of text, a json.RawMessage a value as it is
}

func failure(code int, format string, args ...any) answer {
	return answer{code: code, body: fmt.Errorf(format, args...)}
}

func (a answer) write(w http.ResponseWriter) {
	h := w.Header()
	if a.index != 0 {
		h.Set("X-Consul-Index", strconv.FormatUint(a.index, 10))
	}
	h.Set("X-Consul-Knownleader", "true")
	h.Set("X-Consul-Lastcontact", "0")
	code := max(a.code, http.StatusOK)
	if a.code != 0 {
		code = a.code
	}
	switch body := a.body.(type) {
	case nil:
		w.WriteHeader(code)
	case error:
		http.Error(w, body.Error(), code)
	case json.RawMessage:
		w.WriteHeader(code)
		_, _ = w.Write(body)
	default:
		h.Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body)
	}
}

func (f *Fake) kv(r *http.Request, key string) answer {
	q := r.URL.Query()
	switch r.Method {
	case http.MethodGet:
		return f.get(r, key, q)
	case http.MethodPut:
		return f.put(r, key, q)
	case http.MethodDelete:
		return f.deleteKey(key, q)
	}
	return failure(http.StatusMethodNotAllowed, "method %s not allowed", r.Method)
}

// get answers a read, and waits before if the request has an index, until the answer has a later one.
func (f *Fake) get(r *http.Request, key string, q url.Values) answer {
	known, err := strconv.ParseUint(q.Get("index"), 10, 64)
	if err != nil && q.Has("index") {
		return failure(http.StatusBadRequest, "Invalid index")
	}
	wait := waitUnset
	if q.Has("wait") {
		if wait, err = time.ParseDuration(q.Get("wait")); err != nil {
			return failure(http.StatusBadRequest, "Invalid wait time")
		}
	}
	timer := time.NewTimer(min(wait, maxWait))
	defer timer.Stop()
	f.mu.Lock()
	restored := f.restored
	f.mu.Unlock()
	for {
		f.mu.Lock()
		a := f.read(key, q)
		changed, over := f.changed, restored != f.restored
		f.mu.Unlock()
		if known == 0 || a.index > known || over {
			return a
		}
		select {
		case <-changed:
		case <-timer.C:
			return a
		case <-r.Context().Done():
			return failure(http.StatusInternalServerError, "rpc error: shutdown")
		}
	}
}

// read is the answer as things are. The caller has mu.
func (f *Fake) read(key string, q url.Values) answer {
	if !q.Has("recurse") && !q.Has("keys") {
		p := f.pairs[key]
		if p == nil {
			return answer{code: http.StatusNotFound, index: f.index}
		}
		if q.Has("raw") {
			return answer{index: p.ModifyIndex, body: json.RawMessage(p.Value)}
		}
		return answer{index: p.ModifyIndex, body: []pair{*p}}
	}
	// The index is the last change under the prefix, or of all keys where there was none.
	found, index := []pair{}, uint64(0)
	for k, p := range f.pairs {
		if strings.HasPrefix(k, key) {
			found = append(found, *p)
			index = max(index, p.ModifyIndex)
		}
	}
	for k, at := range f.deleted {
		if strings.HasPrefix(k, key) {
			index = max(index, at)
		}
	}
	if index == 0 || key == "" {
		index = f.index
	}
	slices.SortFunc(found, func(a, b pair) int { return strings.Compare(a.Key, b.Key) })
	if len(found) == 0 {
		return answer{code: http.StatusNotFound, index: index}
	}
	if q.Has("keys") {
		keys := []string{}
		for _, p := range found {
			keys = append(keys, p.Key)
		}
		return answer{index: index, body: keys}
	}
	return answer{index: index, body: found}
}

func (f *Fake) put(r *http.Request, key string, q url.Values) answer {
	if key == "" {
		return failure(http.StatusBadRequest, "Missing key name")
	}
	value, err := io.ReadAll(r.Body)
	if err != nil {
		return failure(http.StatusBadRequest, "%w", err)
	}
	if len(value) > maxValue {
		return failure(http.StatusRequestEntityTooLarge, "Request body(%d bytes) too large, max size: %d bytes", len(value), maxValue)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case q.Has("cas"):
		index, err := strconv.ParseUint(q.Get("cas"), 10, 64)
		if err != nil {
			return failure(http.StatusBadRequest, "Invalid cas")
		}
		if !f.unchanged(key, index) {
			return answer{body: false}
		}
	case q.Has("acquire"):
		return f.acquire(key, value, q.Get("acquire"))
	}
	f.set(key, value, f.change())
	return answer{body: true}
}

func (f *Fake) deleteKey(key string, q url.Values) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if q.Has("cas") {
		index, err := strconv.ParseUint(q.Get("cas"), 10, 64)
		if err != nil || index == 0 || !f.unchanged(key, index) {
			return answer{body: false}
		}
	}
	at := f.change()
	for k := range f.pairs {
		if k == key || q.Has("recurse") && strings.HasPrefix(k, key) {
			f.remove(k, at)
		}
	}
	return answer{body: true}
}

// unchanged reports whether a key was last changed at an index; 0 means that it is not there. The caller has mu.
func (f *Fake) unchanged(key string, index uint64) bool {
	p := f.pairs[key]
	if p == nil {
		return index == 0
	}
	return p.ModifyIndex == index
}

// set writes a value; who has locked the key keeps it. The caller has mu.
func (f *Fake) set(key string, value []byte, at uint64) *pair {
	p := f.pairs[key]
	n := &pair{Key: key, Value: value, CreateIndex: at, ModifyIndex: at}
	if p != nil {
		n.CreateIndex, n.LockIndex, n.Session = p.CreateIndex, p.LockIndex, p.Session
	}
	f.pairs[key] = n
	return n
}

// remove deletes a key, if it is there. The caller has mu.
func (f *Fake) remove(key string, at uint64) {
	if f.pairs[key] != nil {
		delete(f.pairs, key)
		f.deleted[key] = at
	}
}
