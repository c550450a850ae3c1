package names

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/semaphore"
)

// A client must not hang on a name that is not ours. The engine's resolver gives up after 4 s, the C libraries ask
// again after 5 s, and musl (busybox, alpine) waits its full time when it is told SERVFAIL. So:
//
//   - each resolver has 1.5 s, all together 3 s; one that did not answer is asked last for the next 5 s, and while all
//     are silent each gets 0.3 s;
//   - with no resolver configured there is no world outside the cluster: NXDOMAIN at once;
//   - when none answers, a name without a dot is NXDOMAIN, since resolvers hardly ever have one, while for a name with
//     a dot SERVFAIL says the truth: unknown for now.
const (
	perResolver  = 1500 * time.Millisecond
	perSick      = 300 * time.Millisecond
	allResolvers = 3 * time.Second
	sickFor      = 5 * time.Second
	// maxForward bounds the queries under way to other resolvers; one more is refused at once.
	maxForward = 512
)

// forwarder asks the host's resolvers.
type forwarder struct {
	file string
	log  *slog.Logger
	sem  *semaphore.Weighted
	list atomic.Pointer[[]*resolver]
	told *cache
}

type resolver struct {
	addr string // host:port
	// sick is until when it is not trusted to answer, by the monotonic clock: the host's wall clock may be set; nil when it
	// answered last.
	sick atomic.Pointer[time.Time]
}

// isSick reports whether it is not trusted to answer.
func (r *resolver) isSick() bool {
	until := r.sick.Load()
	return until != nil && time.Until(*until) > 0
}

func newForwarder(file string, log *slog.Logger) *forwarder {
	f := &forwarder{file: file, log: log, sem: semaphore.NewWeighted(maxForward), told: newCache()}
	f.list.Store(&[]*resolver{})
	return f
}

// reload reads the file; addresses in own are this server itself and left out. A file that cannot be read leaves what
// was known.
func (f *forwarder) reload(own map[netip.Addr]bool) {
	c, err := dns.ClientConfigFromFile(f.file)
	if err != nil {
		f.log.Debug("resolvers not read", "err", err)
		return
	}
	known := map[string]*resolver{}
	for _, r := range *f.list.Load() {
		known[r.addr] = r
	}
	var list []*resolver
	for _, server := range c.Servers {
		if a, err := netip.ParseAddr(server); err == nil && own[a.Unmap()] {
			continue
		}
		addr := net.JoinHostPort(server, c.Port)
		r := known[addr]
		if r == nil {
			r = &resolver{addr: addr}
		}
		list = append(list, r)
	}
	if !slices.Equal(list, *f.list.Load()) {
		f.told.clear() // other resolvers may know otherwise
	}
	f.list.Store(&list)
}

// ask forwards a query and always returns an answer.
func (f *forwarder) ask(ctx context.Context, q *dns.Msg) *dns.Msg {
	list := *f.list.Load()
	if len(list) == 0 {
		return own(q, dns.RcodeNameError)
	}
	if known := f.told.get(q); known != nil {
		return known
	}
	if !f.sem.TryAcquire(1) {
		return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
	}
	defer f.sem.Release(1)
	ctx, cancel := context.WithTimeout(ctx, allResolvers)
	defer cancel()

	var failure *dns.Msg
	for _, r := range byHealth(list) {
		limit := perResolver
		if r.isSick() {
			limit = perSick
		}
		answer := r.exchange(ctx, q, limit)
		if ctx.Err() != nil && answer == nil {
			break
		}
		switch {
		case answer == nil:
			until := time.Now().Add(sickFor)
			r.sick.Store(&until)
			continue
		case answer.Rcode == dns.RcodeServerFailure || answer.Rcode == dns.RcodeRefused:
			r.sick.Store(nil)
			failure = answer
			continue
		}
		r.sick.Store(nil)
		f.told.put(q, answer)
		return answer
	}
	if failure != nil {
		return failure
	}
	if !strings.Contains(strings.TrimSuffix(q.Question[0].Name, "."), ".") {
		return own(q, dns.RcodeNameError)
	}
	return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
}

// byHealth puts those that did not answer lately last.
func byHealth(list []*resolver) []*resolver {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b *resolver) int {
		as, bs := a.isSick(), b.isSick()
		switch {
		case as == bs:
			return 0
		case bs:
			return -1
		}
		return 1
	})
	return out
}

// exchange asks one resolver by UDP, and by TCP when the answer did not fit; nil when none came in time.
func (r *resolver) exchange(ctx context.Context, q *dns.Msg, limit time.Duration) *dns.Msg {
	query := q.Copy()
	query.Id = dns.Id() // not the client's, which it may choose badly
	hopOnly(query)
	var cut *dns.Msg
	for _, network := range []string{"udp", "tcp"} {
		client := dns.Client{Net: network, Timeout: limit, UDPSize: maxUDP}
		answer, _, err := client.ExchangeContext(ctx, query, r.addr)
		if err != nil || answer == nil {
			return cut
		}
		answer.Id = q.Id
		hopOnly(answer)
		if !answer.Truncated {
			return answer
		}
		cut = answer
	}
	return cut
}

// hopOnly takes off what is between two neighbours alone (RFC 6891 section 6.1.1): a cookie of this client's, or for it.
func hopOnly(m *dns.Msg) {
	if opt := m.IsEdns0(); opt != nil {
		opt.Option = nil
	}
}
