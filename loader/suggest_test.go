package loader

import (
	"testing"

	"pgregory.net/rapid"
)

func TestDidYouMeanSuggestsNearWordsOnly(t *testing.T) {
	known := []string{"image", "init", "command", "ports", "env_file", "db"}
	for word, want := range map[string]string{
		"imagee": "image", "iamge": "image", "comand": "command", "envfile": "env_file", "prots": "ports",
		"bd": "db", "x": "", "flavour": "", "zzz": "",
	} {
		if want != "" {
			want = "; did you mean " + want + "?"
		}
		if got := didYouMean(word, known); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func TestEditDistanceIsSymmetricAndZeroForEqualWordsOnly(t *testing.T) {
	word := rapid.StringMatching(`[a-d]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := editDistance(a, b)
		if d != editDistance(b, a) {
			t.Fatal("not symmetric")
		}
		if (d == 0) != (a == b) {
			t.Fatalf("distance of %q and %q is %d", a, b, d)
		}
		if longest := max(len(a), len(b)); d > longest || d < longest-min(len(a), len(b)) {
			t.Fatalf("distance of %q and %q is %d", a, b, d)
		}
	})
}
