package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ClientConfig is how to dial a store member by whatever address: it must show a certificate of the same CA that holds
// StoreServerName, and pair is shown to it.
func ClientConfig(caCert []byte, pair KeyPair) (*tls.Config, error) {
	pool, err := Pool(caCert)
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		RootCAs:      pool,
		Certificates: []tls.Certificate{cert},
		ServerName:   StoreServerName,
	}, nil
}

// Pool is a set of trusted authorities.
func Pool(caCert []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(caCert) {
		return nil, errors.New("the certificate authority's PEM text holds no certificate")
	}
	return pool, nil
}
