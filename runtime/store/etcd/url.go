package etcd

import "berth/runtime/store/address"

// DefaultPort is etcd's client port, for addresses without one.
const DefaultPort = "2379"

var grammar = address.Grammar{
	Scheme: "etcd", Port: DefaultPort, TLSPort: DefaultPort, Example: "etcd://host:2379,host:2379",
	SecretHint: "let etcd know its users by certificate (cert= and key=)",
}

// ParseURL reads where an external etcd is, as store: in hosts.yml says it:
//
//	etcd://10.0.0.1,10.0.0.2:2379                      plain text
//	etcds://etcd.lan                                   TLS, the system's certificate authorities
//	etcd://etcd.lan?ca=ca.pem&cert=me.pem&key=me.key   TLS with an authority, and a certificate to show, of one's own
//	etcd://10.0.0.1?ca=ca.pem&name=etcd.lan            TLS, the certificate is for another name than is dialled
//
// Relative files lie in dir. ca, and cert with key, may each stand alone.
func ParseURL(raw, dir string) (Config, error) {
	a, err := address.Parse(raw, dir, grammar)
	return Config{Endpoints: a.Hosts, TLS: a.TLS}, err
}
