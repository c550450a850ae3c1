package identity

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Request asks for a new certificate in place of one that is about to end. It is signed with the old one's key, so that
// nobody can ask in another's name.
type Request struct {
	CSR       []byte `json:"csr"`       // PEM, PKCS #10, of the new key
	Cert      []byte `json:"cert"`      // PEM, the old certificate
	Signature []byte `json:"signature"` // by the old key over the CSR, ECDSA with SHA-256, ASN.1
}

// Ask makes a request in the name of the old certificate, and the new key, PEM, that the answer will be for.
func Ask(old KeyPair) (Request, []byte, error) {
	pair, err := old.TLS()
	if err != nil {
		return Request{}, nil, fmt.Errorf("ask for a new certificate: %w", err)
	}
	oldKey, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return Request{}, nil, errors.New("ask for a new certificate: the old one's key is not ECDSA")
	}
	key, err := newKey()
	if err != nil {
		return Request{}, nil, fmt.Errorf("ask for a new certificate: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pair.Leaf.Subject}, key)
	if err != nil {
		return Request{}, nil, fmt.Errorf("ask for a new certificate: %w", err)
	}
	r := Request{
		CSR:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Leaf.Raw}),
	}
	digest := sha256.Sum256(r.CSR)
	if r.Signature, err = ecdsa.SignASN1(rand.Reader, oldKey, digest[:]); err != nil {
		return Request{}, nil, fmt.Errorf("ask for a new certificate: %w", err)
	}
	encoded, err := encodeKey(key)
	return r, encoded, err
}

// Renew answers a request of the host name: the same subject, for the new key. refused is as for Gate.Refuse. Whoever
// asks must have a certificate of that host that is still good and not refused.
func Renew(ca KeyPair, name string, r Request, refused map[string]string, life time.Duration) ([]byte, error) {
	cert, err := renew(ca, name, r, refused, life)
	if err != nil {
		return nil, fmt.Errorf("renew the certificate of %s: %w", name, err)
	}
	return cert, nil
}

func renew(ca KeyPair, name string, r Request, refused map[string]string, life time.Duration) ([]byte, error) {
	old, err := Parse(r.Cert)
	if err != nil {
		return nil, err
	}
	pool, err := Pool(ca.Cert)
	if err != nil {
		return nil, err
	}
	if _, err := old.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return nil, fmt.Errorf("the old one: %w", err)
	}
	if err := (&Gate{refused: refused}).refuses(old); err != nil {
		return nil, err
	}
	public, ok := old.PublicKey.(*ecdsa.PublicKey)
	digest := sha256.Sum256(r.CSR)
	if !ok || old.Subject.CommonName != name || !ecdsa.VerifyASN1(public, digest[:], r.Signature) {
		return nil, errors.New("it was not asked for by that host")
	}
	block, _ := pem.Decode(r.CSR)
	if block == nil {
		return nil, errors.New("the request holds none")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, err
	}
	s := SubjectOf(old)
	s.Life = life
	pair, err := issue(ca, s, csr.PublicKey)
	return pair.Cert, err
}
