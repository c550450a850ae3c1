package placement

import (
	"cmp"
	"math/big"
	"regexp"
	"slices"
	"strings"
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

// Numbers are this long and versions this deep at most. The patterns do not count: one that does takes a hundred times as long to
// compile, in every command.
const (
	longestNumber  = 40 // digits
	deepestVersion = 10 // numbers
)

// tooLong reports whether a number in a text is longer than any that makes sense.
func tooLong(s string) bool {
	run := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			run = 0
		} else if run++; run > longestNumber {
			return true
		}
	}
	return false
}

var decimal = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`)

func readNumber(s string) (*big.Rat, bool) {
	if !decimal.MatchString(s) || tooLong(s) {
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

var amount = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([bB]|[kKmMgGtTpP](?:[iI]?[bB])?)$`)

// readSize reads 512m, 16g, 1.5GiB, 100b; units are powers of 1024, as everywhere in docker.
func readSize(s string) (*big.Rat, bool) {
	m := amount.FindStringSubmatch(s)
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

var dotted = regexp.MustCompile(`^[vV]?([0-9]+(?:\.[0-9]+)*)(?:-(alpha|beta|dev|pre|rc)[.-]?([0-9]*))?(?:[^0-9.].*)?$`)

func readVersion(s string) (version, bool) {
	m := dotted.FindStringSubmatch(s)
	if m == nil || tooLong(m[1]) || tooLong(m[3]) || strings.Count(m[1], ".") >= deepestVersion {
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
