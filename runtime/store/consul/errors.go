package consul

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/consul/api"

	"berth/runtime/store/journal"
)

// transport makes errors of answers that are some: the client's own functions do not all tell the code.
type transport struct{ http.Transport }

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(r)
	if err != nil || resp.StatusCode < 400 || resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusConflict {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return nil, err
	}
	return nil, api.StatusError{Code: resp.StatusCode, Body: string(body)}
}

// refused is what Consul says of a transaction that it rolled back, in one sentence.
func (b *backend) refused(errs api.TxnErrors) error {
	what := "it rolled a transaction back"
	if len(errs) > 0 {
		what = errs[0].What
	}
	if strings.Contains(what, "ermission denied") {
		return b.denied()
	}
	return &journal.Refused{Err: errors.New(what)}
}

func (b *backend) denied() error {
	return &journal.Refused{Err: fmt.Errorf("its ACLs do not let us at keys under %s/ or at sessions; give a token that they let with token_file= in hosts.yml, or in CONSUL_HTTP_TOKEN",
		b.cfg.Prefix)}
}

// explain tells the journal what an error of a request means for it.
func (b *backend) explain(err error) error {
	var status api.StatusError
	var op *net.OpError
	var untrusted *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err // what it says beyond that is the address
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return b.status(status)
	case errors.As(err, &untrusted), errors.As(err, &header), errors.As(err, &op) && op.Op == "dial":
		return &journal.Unsent{Err: err}
	}
	return err
}

func (b *backend) status(s api.StatusError) error {
	said := fmt.Errorf("it answered %d %s: %s", s.Code, http.StatusText(s.Code), firstLine(s.Body))
	switch {
	case s.Code == http.StatusForbidden, s.Code == http.StatusUnauthorized:
		return b.denied()
	case s.Code == http.StatusTooManyRequests, s.Code == http.StatusServiceUnavailable,
		strings.Contains(s.Body, "No cluster leader"), strings.Contains(s.Body, "No known Consul servers"):
		return &journal.Unsent{Err: said} // said before it is proposed to the servers
	case s.Code < 500:
		return &journal.Refused{Err: said}
	}
	return said
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
