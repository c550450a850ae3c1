package cluster

import (
	"bytes"
	"strings"
	"testing"
)

func TestWhatIsSealedOpensUnderItsNameAndKeyOnly(t *testing.T) {
	key, content := newSealKey(), []byte("s3cret s3cret s3cret")
	sealed, err := seal(key, "secret/db", content)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("s3cret")) {
		t.Fatal("the content shows")
	}
	again, err := seal(key, "secret/db", content)
	if err != nil || bytes.Equal(sealed, again) {
		t.Errorf("two seals of one content are equal: %v", err)
	}
	got, err := unseal(key, "secret/db", sealed)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%q, %v", got, err)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another name":    func() ([]byte, error) { return unseal(key, "secret/other", sealed) },
		"another key":     func() ([]byte, error) { return unseal(newSealKey(), "secret/db", sealed) },
		"changed content": func() ([]byte, error) { return unseal(key, "secret/db", changed) },
		"cut short":       func() ([]byte, error) { return unseal(key, "secret/db", sealed[:5]) },
		"no key":          func() ([]byte, error) { return unseal(nil, "secret/db", sealed) },
	} {
		if got, err := open(); err == nil || got != nil {
			t.Errorf("%s opens it: %q", name, got)
		}
	}
}

func TestFingerprintsTellContentsApartForWhoHasTheKey(t *testing.T) {
	key := newSealKey()
	of := func(key []byte, parts ...string) string {
		t.Helper()
		f, err := fingerprint(key, parts...)
		if err != nil || strings.Contains(f, "a") && len(f) != 64 {
			t.Fatal(f, err)
		}
		return f
	}
	first := of(key, "a", "b")
	if of(key, "a", "b") != first {
		t.Error("one content has two fingerprints")
	}
	for _, other := range [][]string{{"a", "c"}, {"ab"}, {"ab", ""}, {"a", "b", ""}} {
		if first == of(key, other...) {
			t.Errorf("%q has the fingerprint of a, b", other)
		}
	}
	if first == of(newSealKey(), "a", "b") {
		t.Error("the key does not count")
	}
}
