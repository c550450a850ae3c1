package names

import (
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"berth/placement"
)

// service is a name like _http._tcp.web taken apart (RFC 2782).
type service struct{ port, protocol, of string }

// serviceName reads such a name.
func serviceName(name string) (service, bool) {
	parts := strings.SplitN(name, ".", 3)
	if len(parts) < 3 || !strings.HasPrefix(parts[0], "_") || !strings.HasPrefix(parts[1], "_") {
		return service{}, false
	}
	return service{parts[0][1:], parts[1][1:], parts[2]}, true
}

// is reports whether a port of a container is the one that a name asks for, by its number or its name in the file.
func (s service) is(p placement.EndpointPort) bool {
	return strings.EqualFold(s.protocol, p.Protocol) && (s.port == strconv.Itoa(int(p.Target)) || p.Name != "" && strings.EqualFold(s.port, p.Name))
}

// offered reports whether any task of the name has such a port, be it one that serves or not.
func (s service) offered(zones []*zone) bool {
	for _, z := range zones {
		for _, r := range z.names[s.of] {
			if slices.ContainsFunc(r.ports, s.is) {
				return true
			}
		}
	}
	return false
}

// answerService answers a name like _http._tcp.web with one SRV record for each task that serves, those on this host at the
// better priority, and the addresses of their containers beside them. Types but SRV have no records there. ok is false for names
// of which nothing is known here.
func (s *Server) answerService(q *dns.Msg, name string, zones []*zone, links map[string]string) (m *dns.Msg, ok bool) {
	asked, ok := serviceName(name)
	if !ok {
		return nil, false
	}
	if linked, ok := links[asked.of]; ok {
		asked.of = linked
	}
	found, known := find(zones, asked.of, s.host)
	switch {
	case !known:
		return nil, false
	case !asked.offered(zones):
		return own(q, dns.RcodeNameError), true
	case q.Question[0].Qtype != dns.TypeSRV && q.Question[0].Qtype != dns.TypeANY:
		return own(q, dns.RcodeSuccess), true
	}
	var records, beside []dns.RR
	for _, r := range found {
		i := slices.IndexFunc(r.ports, asked.is)
		if i < 0 {
			continue
		}
		srv := &dns.SRV{Target: dns.Fqdn(r.container), Port: r.ports[i].Target}
		srv.Hdr = dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeSRV, Class: dns.ClassINET}
		if r.host != s.host {
			srv.Priority = 1
		}
		records = append(records, srv)
		beside = append(beside, addressRecords(dns.RR_Header{Name: srv.Target, Class: dns.ClassINET}, dns.TypeANY, []*record{r})...)
	}
	m = own(q, dns.RcodeSuccess, records...)
	m.Extra = append(beside, m.Extra...)
	return m, true
}
