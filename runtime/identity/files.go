package identity

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Load reads a certificate with its key: both from the first file, where Save puts them, or the key from the second.
func Load(certFile, keyFile string) (KeyPair, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return KeyPair{}, err
	}
	key := cert
	if !bytes.Contains(cert, []byte("PRIVATE KEY-----")) {
		if key, err = os.ReadFile(keyFile); err != nil {
			return KeyPair{}, err
		}
	}
	return KeyPair{Cert: cert, Key: key}, nil
}

// TLS is the pair as TLS wants it.
func (p KeyPair) TLS() (*tls.Certificate, error) {
	cert, err := tls.X509KeyPair(p.Cert, p.Key)
	return &cert, err
}

// One is certificate and key in one PEM text: so they are replaced both or neither.
func (p KeyPair) One() []byte {
	if bytes.Equal(p.Cert, p.Key) {
		return p.Cert
	}
	return append(bytes.TrimRight(p.Cert, "\n"), append([]byte("\n"), p.Key...)...)
}

// Save puts a certificate and its key into certFile, and removes a key file of before: it would be another key.
func Save(p KeyPair, certFile, keyFile string) error {
	if err := Replace(certFile, p.One()); err != nil {
		return err
	}
	if err := os.Remove(keyFile); keyFile != certFile && err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Replace writes a file, readable by its owner alone, whole or not at all.
func Replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
