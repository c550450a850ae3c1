package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"time"

	"berth/runtime/store"
)

// StoreServerName is in every certificate of a cluster, and what both the store's clients and its members look for in
// the other side's certificate instead of the address they dial: so a host may be reached by any of its addresses, and
// get another, without a new certificate. Which host it is stands in the certificate's common name and its other names.
const StoreServerName = store.ServerName

// How long certificates are good for. Agents get five years because nothing renews them yet: the command line would
// have to hand every host a new one before the old one ends, and until it does, a short life would stop clusters that
// run fine. The CA outlives what it signs, so that a certificate issued late in its life still gets most of its time.
const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	certLifetime = 5 * 365 * 24 * time.Hour
	// clockSkew is how far behind another host's clock may be and still find a fresh certificate valid.
	clockSkew = time.Hour
)

// KeyPair is a certificate and its private key, both PEM. The key is PKCS #8.
type KeyPair struct {
	Cert []byte
	Key  []byte
}

// NewCA makes the certificate authority of one cluster: ECDSA P-256, self-signed, good for ten years, able to sign
// leaf certificates only. Who has its key can join the cluster.
func NewCA(clusterID string) (KeyPair, error) {
	if clusterID == "" {
		return KeyPair{}, errors.New("cluster: make certificate authority: the cluster has no ID")
	}
	now := time.Now()
	ca := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "berth cluster " + clusterID, Organization: []string{"berth"}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(caLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	pair, err := sign(ca, nil, nil)
	if err != nil {
		return KeyPair{}, fmt.Errorf("cluster: make certificate authority of %s: %w", clusterID, err)
	}
	return pair, nil
}

// Issue makes the certificate that name (a host, or the command line) shows both as server and as client, signed by
// ca. It holds name, dns, ips and StoreServerName as names, and ends with the CA at the latest.
func Issue(ca KeyPair, name string, ips []netip.Addr, dns []string) (KeyPair, error) {
	if name == "" {
		return KeyPair{}, errors.New("cluster: issue certificate: it has no name")
	}
	caCert, caKey, err := parseCA(ca)
	if err != nil {
		return KeyPair{}, fmt.Errorf("cluster: issue certificate for %s: %w", name, err)
	}
	now := time.Now()
	leaf := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: []string{"berth"}},
		NotBefore:   now.Add(-clockSkew),
		NotAfter:    now.Add(certLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if leaf.NotAfter.After(caCert.NotAfter) {
		leaf.NotAfter = caCert.NotAfter
	}
	seen := map[string]bool{}
	for _, n := range append([]string{StoreServerName, name}, dns...) {
		if n != "" && !seen[n] {
			seen[n] = true
			leaf.DNSNames = append(leaf.DNSNames, n)
		}
	}
	for _, ip := range ips {
		leaf.IPAddresses = append(leaf.IPAddresses, ip.Unmap().WithZone("").AsSlice())
	}
	pair, err := sign(leaf, caCert, caKey)
	if err != nil {
		return KeyPair{}, fmt.Errorf("cluster: issue certificate for %s: %w", name, err)
	}
	return pair, nil
}

// ClientConfig is how to dial a store member or an agent by whatever address: it must show a certificate of the same
// CA that holds StoreServerName, and pair is shown to it.
func ClientConfig(caCert []byte, pair KeyPair) (*tls.Config, error) {
	pool, cert, err := identity(caCert, pair)
	if err != nil {
		return nil, fmt.Errorf("cluster: client certificate: %w", err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		RootCAs:      pool,
		Certificates: []tls.Certificate{cert},
		ServerName:   StoreServerName,
	}, nil
}

// ServerConfig is how to listen: only for clients that show a certificate of the same CA.
func ServerConfig(caCert []byte, pair KeyPair) (*tls.Config, error) {
	pool, cert, err := identity(caCert, pair)
	if err != nil {
		return nil, fmt.Errorf("cluster: server certificate: %w", err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{cert},
	}, nil
}

// sign makes a key and the template's certificate for it, signed by parent's key; by its own when parent is nil.
func sign(template, parent *x509.Certificate, parentKey crypto.Signer) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, err
	}
	// RFC 5280, section 4.1.2.2: unique per CA, positive, at most 20 octets.
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159)); err != nil {
		return KeyPair{}, err
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return KeyPair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return KeyPair{}, err
	}
	return KeyPair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
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

func identity(caCert []byte, pair KeyPair) (*x509.CertPool, tls.Certificate, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(caCert) {
		return nil, tls.Certificate{}, errors.New("the certificate authority's PEM holds no certificate")
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	return pool, cert, nil
}
