package identity

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAHostGetsANewCertificateForItsOldOne(t *testing.T) {
	ca := mustCA(t, "c1")
	old, err := Issue(ca, Subject{Name: "host1", Admission: "a1", Names: []string{"host1.lan"}, Life: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	request, key, err := Ask(old)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := Renew(ca, "host1", request, map[string]string{"host1": "a1"}, 2*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := KeyPair{Cert: cert, Key: key}.TLS()
	if err != nil {
		t.Fatal(err)
	}
	s := SubjectOf(pair.Leaf)
	if s.Name != "host1" || s.Admission != "a1" || !slices.Equal(s.Names, []string{"host1.lan"}) {
		t.Errorf("the new one is for %+v", s)
	}
	if left := time.Until(pair.Leaf.NotAfter); left < time.Minute || left > 2*time.Minute {
		t.Errorf("it is good for %s, want two minutes", left)
	}
}

func TestNobodyGetsACertificateThatIsNotHis(t *testing.T) {
	ca := mustCA(t, "c1")
	ask := func(pair KeyPair) Request {
		r, _, err := Ask(pair)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	mine, theirs := ask(mustIssue(t, ca, "host1")), ask(mustIssue(t, ca, "host2"))
	ended, err := Issue(ca, Subject{Name: "host1", Life: -time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	forged := mine
	forged.Signature = theirs.Signature
	swapped := mine
	swapped.CSR = theirs.CSR
	for want, c := range map[string]struct {
		request Request
		refused map[string]string
	}{
		"not asked for by that host":              {theirs, nil},
		"not asked for by that host ":             {forged, nil},
		"not asked for by that host  ":            {swapped, nil},
		"unknown authority":                       {ask(mustIssue(t, mustCA(t, "c2"), "host1")), nil},
		"expired":                                 {ask(ended), nil},
		"host host1 was taken out of the cluster": {mine, map[string]string{"host1": ""}},
		"holds no certificate":                    {Request{}, nil},
	} {
		if _, err := Renew(ca, "host1", c.request, c.refused, 0); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
