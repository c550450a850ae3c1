package placement

import (
	"cmp"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// order is a number, a size or a version that others are compared with. All is exact: no floating point.
type order interface {
	// compare is -1, 0 or 1 as got is less than, equal to or greater than the order's own; ok is false when got is
	// nothing of its sort.
	compare(got string) (sign int, ok bool)
	reads(got string) bool
	name() string // "number", "size", "version"
}

// orderOf reads what a constraint compares with. A number with a unit is a size; what begins with v or has two dots or
// more is a version, and so is everything about an engine's; the rest are numbers.
func orderOf(key, s string) (order, bool) {
	if strings.EqualFold(key, "engine.version") || strings.EqualFold(key, "engine.kernelversion") ||
		len(s) > 1 && (s[0] == 'v' || s[0] == 'V') || strings.Count(s, ".") > 1 {
		v, ok := readVersion(s)
		return v, ok
	}
	if n, ok := readNumber(s); ok {
		return number{n}, true
	}
	n, ok := readSize(s)
	return size{n}, ok
}

type number struct{ value *big.Rat }

// written compiles a pattern when it is first asked for: most commands compare no numbers, and these take a millisecond.
func written(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

var decimal = written(`^[+-]?[0-9]{1,40}(\.[0-9]{1,40})?$`)

func readNumber(s string) (*big.Rat, bool) {
	if !decimal().MatchString(s) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func (n number) compare(got string) (int, bool) {
	g, ok := readNumber(got)
	if !ok {
		return 0, false
	}
	return g.Cmp(n.value), true
}

func (n number) reads(got string) bool { _, ok := readNumber(got); return ok }

func (number) name() string { return "number" }

type size struct{ bytes *big.Rat }

var amount = written(`^([0-9]{1,40}(?:\.[0-9]{1,40})?) ?([bB]|[kKmMgGtTpP](?:[iI]?[bB])?)$`)

// readSize reads 512m, 16g, 1.5GiB, 100b; units are powers of 1024, as everywhere in docker.
func readSize(s string) (*big.Rat, bool) {
	m := amount().FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	n, ok := readNumber(m[1])
	if !ok {
		return nil, false
	}
	power := strings.IndexByte("bkmgtp", strings.ToLower(m[2])[0])
	return n.Mul(n, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), uint(10*power)))), true
}

func (n size) compare(got string) (int, bool) {
	g, ok := readSize(got)
	if !ok {
		return 0, false
	}
	return g.Cmp(n.bytes), true
}

func (n size) reads(got string) bool { _, ok := readSize(got); return ok }

func (size) name() string { return "size" }

// version is dotted numbers, where missing ones are 0. What follows them does not count (Debian's "20.10.24+dfsg1", a
// kernel's "5.10.0-13-amd64", "17.03.2-ce"), but for a release candidate and the like, which come before their release.
type version struct {
	numbers []string // without leading zeros
	before  string   // "alpha", "beta", "rc" …; "" for a release
	count   string   // of before: "1" of rc1
}

var dotted = written(`^[vV]?([0-9]{1,40}(?:\.[0-9]{1,40}){0,9})(?:-(alpha|beta|dev|pre|rc)[.-]?([0-9]{0,40}))?(?:[^0-9.].*)?$`)

func readVersion(s string) (version, bool) {
	m := dotted().FindStringSubmatch(s)
	if m == nil {
		return version{}, false
	}
	v := version{before: m[2], count: strings.TrimLeft(m[3], "0")}
	for _, n := range strings.Split(m[1], ".") {
		v.numbers = append(v.numbers, strings.TrimLeft(n, "0"))
	}
	return v, true
}

func (v version) compare(got string) (int, bool) {
	g, ok := readVersion(got)
	if !ok {
		return 0, false
	}
	for i := range max(len(g.numbers), len(v.numbers)) {
		var a, b string
		if i < len(g.numbers) {
			a = g.numbers[i]
		}
		if i < len(v.numbers) {
			b = v.numbers[i]
		}
		if sign := compareDigits(a, b); sign != 0 {
			return sign, true
		}
	}
	stages := []string{"dev", "pre", "alpha", "beta", "rc", ""}
	return cmp.Or(cmp.Compare(slices.Index(stages, g.before), slices.Index(stages, v.before)), compareDigits(g.count, v.count)), true
}

// compareDigits compares numbers without leading zeros.
func compareDigits(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func (v version) reads(got string) bool { _, ok := readVersion(got); return ok }

func (version) name() string { return "version" }
