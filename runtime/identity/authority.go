// Package identity is who is who in a cluster: its certificate authority, the certificates of hosts and command line,
// their renewal, and the gate through which a store member lets in only those that still belong to the cluster.
package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"time"

	"berth/runtime/store"
)

// StoreServerName is in every certificate of a cluster, and what both the store's clients and its members look for in
// the other side's certificate instead of the address they dial: so a host may be reached by any of its addresses, and
// get another, without a new certificate. Which host it is stands in the certificate's common name and its other names.
const StoreServerName = store.ServerName

// CommandLine is the name in the certificate with which commands reach the store.
const CommandLine = "berth-cli"

// How long certificates are good for. A host's is renewed by its agent when less than a third of its life is left, and
// by the next command when the agent was away for longer than that. The authority outlives what it signs, so that a
// certificate issued late in its life still gets most of its time.
const (
	AuthorityLife = 10 * 365 * 24 * time.Hour
	Life          = 90 * 24 * time.Hour
	// clockSkew is how far behind another host's clock may be and still find a fresh certificate valid.
	clockSkew = 24 * time.Hour
)

// KeyPair is a certificate and its private key, both PEM. The key is PKCS #8.
type KeyPair struct {
	Cert []byte
	Key  []byte
}

// Subject is whom a certificate is for.
type Subject struct {
	Name string // a host's name, or CommandLine
	// Admission is which of the host's admissions to the cluster the certificate belongs to: a host that was refused and
	// is let in again gets a new one, and only certificates with that are good. It stays the same over renewals. It
	// stands in the certificate as the subject's serial number (X.520, RFC 5280 section 4.1.2.4).
	Admission string
	IPs       []netip.Addr
	Names     []string      // DNS names beside Name and StoreServerName
	Life      time.Duration // zero is Life
}

// NewAdmission makes an admission, at random.
func NewAdmission() string {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(b[:])
}

// NewCA makes the certificate authority of one cluster: ECDSA P-256, self-signed, good for ten years, able to sign
// leaf certificates only. Who has its key can join the cluster.
func NewCA(clusterID string) (KeyPair, error) {
	if clusterID == "" {
		return KeyPair{}, errors.New("make certificate authority: the cluster has no ID")
	}
	now := time.Now()
	ca := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "berth cluster " + clusterID, Organization: []string{"berth"}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(AuthorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	key, err := newKey()
	if err == nil {
		var pair KeyPair
		if pair, err = sign(ca, ca, key.Public(), key); err == nil {
			pair.Key, err = encodeKey(key)
			return pair, err
		}
	}
	return KeyPair{}, fmt.Errorf("make certificate authority of %s: %w", clusterID, err)
}

// Issue makes the certificate that its subject shows both as server and as client, signed by ca. It ends with the CA at
// the latest.
func Issue(ca KeyPair, s Subject) (KeyPair, error) {
	key, err := newKey()
	if err != nil {
		return KeyPair{}, fmt.Errorf("issue certificate for %s: %w", s.Name, err)
	}
	pair, err := issue(ca, s, key.Public())
	if err == nil {
		pair.Key, err = encodeKey(key)
	}
	if err != nil {
		return KeyPair{}, fmt.Errorf("issue certificate for %s: %w", s.Name, err)
	}
	return pair, nil
}

// issue certifies a public key; the result has no key.
func issue(ca KeyPair, s Subject, public crypto.PublicKey) (KeyPair, error) {
	if s.Name == "" {
		return KeyPair{}, errors.New("it has no name")
	}
	caCert, caKey, err := parseCA(ca)
	if err != nil {
		return KeyPair{}, err
	}
	if s.Life == 0 {
		s.Life = Life
	}
	now := time.Now()
	leaf := &x509.Certificate{
		Subject: pkix.Name{CommonName: s.Name, SerialNumber: s.Admission, Organization: []string{"berth"}},
		// A third of its life at most, so that what is left of a short one is known from the certificate.
		NotBefore:   now.Add(-min(clockSkew, s.Life/3)),
		NotAfter:    now.Add(s.Life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if leaf.NotAfter.After(caCert.NotAfter) {
		leaf.NotAfter = caCert.NotAfter
	}
	for _, n := range append([]string{StoreServerName, s.Name}, s.Names...) {
		if n != "" && !slices.Contains(leaf.DNSNames, n) {
			leaf.DNSNames = append(leaf.DNSNames, n)
		}
	}
	for _, ip := range s.IPs {
		leaf.IPAddresses = append(leaf.IPAddresses, net.IP(ip.Unmap().WithZone("").AsSlice()))
	}
	return sign(leaf, caCert, public, caKey)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// sign makes the template's certificate for a public key.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, parentKey crypto.Signer) (KeyPair, error) {
	var err error
	// RFC 5280, section 4.1.2.2: unique per CA, positive, at most 20 octets.
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159)); err != nil {
		return KeyPair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, parentKey)
	if err != nil {
		return KeyPair{}, err
	}
	return KeyPair{Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

func parseCA(ca KeyPair) (*x509.Certificate, crypto.Signer, error) {
	pair, err := tls.X509KeyPair(ca.Cert, ca.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("read certificate authority: %w", err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, nil, errors.New("read certificate authority: the certificate is not one of an authority")
	}
	return pair.Leaf, signer, nil
}

// Parse reads the first certificate of a PEM text.
func Parse(cert []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(cert); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, errors.New("the PEM text holds no certificate")
}

// SubjectOf is whom a certificate is for.
func SubjectOf(cert *x509.Certificate) Subject {
	s := Subject{Name: cert.Subject.CommonName, Admission: cert.Subject.SerialNumber}
	for _, n := range cert.DNSNames {
		if n != s.Name && n != StoreServerName {
			s.Names = append(s.Names, n)
		}
	}
	for _, ip := range cert.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			s.IPs = append(s.IPs, addr.Unmap())
		}
	}
	return s
}

// RenewAt is when a certificate shall be renewed: when a third of its life is left.
func RenewAt(cert *x509.Certificate) time.Time {
	return cert.NotAfter.Add(-cert.NotAfter.Sub(cert.NotBefore) / 3)
}
