package names

import (
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// What is remembered of other resolvers' answers, and for how long at most, whatever they say.
const (
	maxCached      = 4096
	longestKnown   = 5 * time.Minute
	longestUnknown = 30 * time.Second
)

// cache remembers the answers of other resolvers for as long as they allow it (RFC 1035 section 3.2.1), and that a
// name or type does not exist for as long as its zone says (RFC 2308 section 5). Failures and answers that were cut are not
// remembered.
type cache struct {
	mu      sync.Mutex
	answers map[asked]remembered
	now     func() time.Time
}

// asked is what makes two queries the same.
type asked struct {
	name           string // lower case
	kind, class    uint16
	edns, secure   bool // EDNS, and its DO flag: signatures are wanted
	recurse, check bool // RD, CD
}

type remembered struct {
	answer       *dns.Msg // never changed
	since, until time.Time
}

func newCache() *cache {
	return &cache{answers: map[asked]remembered{}, now: time.Now}
}

func keyOf(q *dns.Msg) asked {
	k := asked{name: strings.ToLower(q.Question[0].Name), kind: q.Question[0].Qtype, class: q.Question[0].Qclass, recurse: q.RecursionDesired, check: q.CheckingDisabled}
	if opt := q.IsEdns0(); opt != nil {
		k.edns, k.secure = true, opt.Do()
	}
	return k
}

// get returns what is remembered as an answer to q, with the time that has passed taken off; nil for nothing.
func (c *cache) get(q *dns.Msg) *dns.Msg {
	now := c.now()
	c.mu.Lock()
	r, ok := c.answers[keyOf(q)]
	c.mu.Unlock()
	if !ok || !now.Before(r.until) {
		return nil
	}
	m := r.answer.Copy()
	m.Id, m.Question = q.Id, q.Question
	passed := uint32(now.Sub(r.since) / time.Second)
	eachRecord(m, func(h *dns.RR_Header) { h.Ttl -= min(passed, h.Ttl) })
	return m
}

// put remembers an answer, if it may be.
func (c *cache) put(q, answer *dns.Msg) {
	life := lifeOf(answer)
	if life <= 0 {
		return
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.answers) >= maxCached {
		c.makeRoom(now)
	}
	c.answers[keyOf(q)] = remembered{answer.Copy(), now, now.Add(life)}
}

// makeRoom drops what has expired, and else a part of the rest: which one does not matter much.
func (c *cache) makeRoom(now time.Time) {
	for k, r := range c.answers {
		if !now.Before(r.until) {
			delete(c.answers, k)
		}
	}
	for k := range c.answers {
		if len(c.answers) < maxCached*7/8 {
			return
		}
		delete(c.answers, k)
	}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.answers)
}

// lifeOf is how long an answer may be remembered.
func lifeOf(m *dns.Msg) time.Duration {
	if m.Truncated {
		return 0
	}
	seconds := func(n uint32) time.Duration { return time.Duration(n) * time.Second }
	switch {
	case m.Rcode == dns.RcodeSuccess && len(m.Answer) > 0:
		life := longestKnown
		eachRecord(m, func(h *dns.RR_Header) { life = min(life, seconds(h.Ttl)) })
		return life
	case m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError:
		for _, rr := range m.Ns {
			if soa, ok := rr.(*dns.SOA); ok {
				return min(longestUnknown, seconds(min(soa.Hdr.Ttl, soa.Minttl)))
			}
		}
	}
	return 0
}

// eachRecord calls f for the header of every record but EDNS's, which keeps other things in its TTL.
func eachRecord(m *dns.Msg, f func(h *dns.RR_Header)) {
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if h := rr.Header(); h.Rrtype != dns.TypeOPT {
				f(h)
			}
		}
	}
}
