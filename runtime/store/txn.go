package store

import "fmt"

// MinLeaseTTL is the shortest lease in seconds: shorter ones end by a busy machine's hiccup, and etcd rounds them up.
const MinLeaseTTL = 2

// Validate checks what the contract asks of a transaction: no empty keys, and each key put or deleted once at most,
// and compared once at most. The error wraps ErrInvalid.
func (t Txn) Validate() error {
	written := make(map[string]bool, len(t.Puts)+len(t.Deletes))
	write := func(key, verb string) error {
		if key == "" {
			return fmt.Errorf("%w: a transaction that %s an empty key", ErrInvalid, verb)
		}
		if written[key] {
			return fmt.Errorf("%w: a transaction that writes key %q twice", ErrInvalid, key)
		}
		written[key] = true
		return nil
	}
	for _, p := range t.Puts {
		if err := write(p.Key, "puts"); err != nil {
			return err
		}
	}
	for _, d := range t.Deletes {
		if err := write(d, "deletes"); err != nil {
			return err
		}
	}
	compared := make(map[string]bool, len(t.Compares))
	for _, c := range t.Compares {
		if c.Key == "" {
			return fmt.Errorf("%w: a transaction that compares an empty key", ErrInvalid)
		}
		if compared[c.Key] {
			return fmt.Errorf("%w: a transaction that compares key %q twice", ErrInvalid, c.Key)
		}
		compared[c.Key] = true
	}
	return nil
}

// OnceOnly reports whether the transaction undoes a condition of its own: it writes a key that it compares, so that,
// sent twice, it applies once at most. A delete of a key that must be absent changes nothing and does not count.
func (t Txn) OnceOnly() bool {
	compared := make(map[string]int64, len(t.Compares))
	for _, c := range t.Compares {
		compared[c.Key] = c.Modified
	}
	for _, p := range t.Puts {
		if _, ok := compared[p.Key]; ok {
			return true
		}
	}
	for _, d := range t.Deletes {
		if compared[d] != 0 {
			return true
		}
	}
	return false
}
