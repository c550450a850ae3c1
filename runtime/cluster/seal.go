package cluster

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// sealKeySize is that of AES-256 and of the cluster's key, bytes.
const sealKeySize = 32

// newSealKey makes a cluster's key, under which the contents of external secrets and configs are sealed. It lies beside
// the certificates on the hosts and never in the store, so that who reads the store (a dump, an external etcd, its
// backups) reads no secret.
func newSealKey() []byte {
	key := make([]byte, sealKeySize)
	rand.Read(key) // never fails (crypto/rand, Go 1.24)
	return key
}

// derive makes the key for one purpose of the cluster's.
func derive(key []byte, purpose string) ([]byte, error) {
	if len(key) != sealKeySize {
		return nil, fmt.Errorf("the cluster's key has %d bytes, want %d", len(key), sealKeySize)
	}
	return hkdf.Key(sha256.New, key, nil, "berth "+purpose, sealKeySize)
}

// seal encrypts content with AES-256-GCM; the nonce comes first. name is bound to it: under another name it does not
// open.
func seal(key []byte, name string, content []byte) ([]byte, error) {
	aead, err := sealer(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, content, []byte(name)), nil
}

// unseal is the inverse of seal.
func unseal(key []byte, name string, sealed []byte) ([]byte, error) {
	aead, err := sealer(key)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("its sealed content is cut short")
	}
	content, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(name))
	if err != nil {
		return nil, errors.New("it was sealed with another key than this cluster's, or has been changed in the store")
	}
	return content, nil
}

func sealer(key []byte) (cipher.AEAD, error) {
	own, err := derive(key, "objects")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(own)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// fingerprint stands for contents in config hashes, which everybody may read: without the cluster's key nobody can tell
// a guessed secret from a wrong guess.
func fingerprint(key []byte, parts ...string) (string, error) {
	own, err := derive(key, "fingerprints")
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, own)
	for _, p := range parts {
		fmt.Fprintf(mac, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(mac.Sum(nil)), nil
}
