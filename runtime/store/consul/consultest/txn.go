package consultest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
)

type txnOp struct {
	KV *struct {
		Verb  string
		Key   string
		Value []byte
		Index uint64
	}
}

type txnError struct {
	OpIndex int
	What    string
}

type txnResult struct{ KV pair }

type txnAnswer struct {
	Results []txnResult
	Errors  []txnError
}

// txn applies all operations at one index, or none.
func (f *Fake) txn(r *http.Request) answer {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return failure(http.StatusBadRequest, "%w", err)
	}
	if len(body) > maxValue {
		return failure(http.StatusRequestEntityTooLarge, "Request body(%d bytes) too large, max size: %d bytes. See https://developer.hashicorp.com/docs/agent/config/config-files#txn_max_req_len.",
			len(body), maxValue)
	}
	var ops []txnOp
	if err := json.Unmarshal(body, &ops); err != nil {
		return failure(http.StatusBadRequest, "Failed to parse body: %w", err)
	}
	if len(ops) > maxOps {
		return failure(http.StatusRequestEntityTooLarge, "Transaction contains too many operations (%d > %d)", len(ops), maxOps)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	pairs, deleted, index := maps.Clone(f.pairs), maps.Clone(f.deleted), f.index
	out := txnAnswer{}
	wrote := false
	f.index++
	for i, op := range ops {
		if op.KV == nil {
			return failure(http.StatusBadRequest, "unknown operation")
		}
		result, writes, err := f.operate(op)
		wrote = wrote || writes
		if err != nil {
			out.Errors = append(out.Errors, txnError{i, err.Error()})
		} else if result != nil {
			out.Results = append(out.Results, txnResult{*result})
		}
	}
	if len(out.Errors) > 0 {
		f.pairs, f.deleted, f.index = pairs, deleted, index
		return answer{code: http.StatusConflict, body: txnAnswer{Errors: out.Errors}}
	}
	f.index--
	if wrote {
		f.change()
	}
	return answer{body: out}
}

// operate does one operation of a transaction at the index f.index. The caller has mu.
func (f *Fake) operate(op txnOp) (result *pair, writes bool, err error) {
	kv := op.KV
	if len(kv.Value) > maxValue {
		return nil, false, fmt.Errorf("Value for key %q is too large (%d > %d bytes)", kv.Key, len(kv.Value), maxValue)
	}
	switch kv.Verb {
	case "get":
		p := f.pairs[kv.Key]
		if p == nil {
			return nil, false, fmt.Errorf("key %q doesn't exist", kv.Key)
		}
		return p, false, nil
	case "cas", "delete-cas":
		if !f.unchanged(kv.Key, kv.Index) {
			return nil, true, fmt.Errorf("failed to %s key %q, index is stale", map[string]string{"cas": "set", "delete-cas": "delete"}[kv.Verb], kv.Key)
		}
	case "check-index":
		p := f.pairs[kv.Key]
		if p == nil || p.ModifyIndex != kv.Index {
			return nil, false, fmt.Errorf("current modify index for key %q does not match", kv.Key)
		}
		return p, false, nil
	case "set", "delete":
	default:
		return nil, false, fmt.Errorf("unknown KV verb %q", kv.Verb)
	}
	if kv.Verb == "delete" || kv.Verb == "delete-cas" {
		f.remove(kv.Key, f.index)
		return nil, true, nil
	}
	said := *f.set(kv.Key, kv.Value, f.index)
	said.Value = nil // it is not sent back to who wrote it
	return &said, true, nil
}
