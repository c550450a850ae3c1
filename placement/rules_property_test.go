package placement

import (
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func holds(t *rapid.T, rule, value string) bool {
	t.Helper()
	c, err := ParseConstraint("labels.x " + rule)
	if err != nil {
		t.Fatal(err)
	}
	return c.Match(&Host{Labels: map[string]string{"x": value}})
}

func TestAListIsAnyOfItsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOf(rapid.RuneFrom([]rune("abAB*"))).Draw(t, "value")
		all := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "ab*", "?b", `"a*"`, `""`, "B"}), 1, 4).Draw(t, "list")
		want := slices.ContainsFunc(all, func(v string) bool { return holds(t, "== "+v, value) })
		if got := holds(t, "in ("+strings.Join(all, ", ")+")", value); got != want {
			t.Fatalf("%q in %v: got %v", value, all, got)
		}
	})
}

// fits matches a pattern the slow way.
func fits(pattern, s []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(s) == 0
	case pattern[0] == '*':
		return fits(pattern[1:], s) || len(s) > 0 && fits(pattern, s[1:])
	case len(s) == 0 || pattern[0] != '?' && !strings.EqualFold(string(pattern[0]), string(s[0])):
		return false
	}
	return fits(pattern[1:], s[1:])
}

func TestWildcardsStandForAnyTextAndOneCharacter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[aBé.*?+]{1,6}`).Draw(t, "pattern")
		value := rapid.StringMatching(`[abÉ.+\n]{0,6}`).Draw(t, "value")
		if got, want := holds(t, "== "+pattern, value), fits([]rune(pattern), []rune(value)); got != want {
			t.Fatalf("%q against %q: got %v, want %v", value, pattern, got, want)
		}
	})
}

// Of two amounts of one sort exactly one of <, == and > holds, and <= and >= are these with ==.
func TestOrdersAreTotal(t *testing.T) {
	number := rapid.StringMatching(`-?[0-9]{1,3}(\.[0-9]{1,2})?`)
	size := rapid.StringMatching(`[0-9]{1,3}(\.[0-9])?[kmg](i?b)?`)
	dots := rapid.StringMatching(`v[0-2](\.[0-2]){0,3}(-(alpha|beta|rc)[0-2])?`)
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]*rapid.Generator[string]{number, size, dots}).Draw(t, "sort")
		a, b := kind.Draw(t, "a"), kind.Draw(t, "b")
		less, greater := holds(t, "< "+b, a), holds(t, "> "+b, a)
		same := !less && !greater
		if less && greater || holds(t, "<= "+b, a) != (less || same) || holds(t, ">= "+b, a) != (greater || same) || holds(t, "< "+a, b) != greater {
			t.Fatalf("%s and %s: less %v, greater %v", a, b, less, greater)
		}
		c := kind.Draw(t, "c")
		if less && holds(t, "< "+c, b) && !holds(t, "< "+c, a) {
			t.Fatalf("%s < %s < %s, but not the first and the last", a, b, c)
		}
	})
}

func TestNumbersCompareExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`-?[0-9]{1,30}(\.[0-9]{1,30})?`)
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if got := holds(t, "< "+b, a); got != (x.Cmp(y) < 0) {
			t.Fatalf("%s < %s: got %v", a, b, got)
		}
	})
}
