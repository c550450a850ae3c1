package pack_test

import (
	"strings"
	"testing"

	"berth/placement/pack/quality"
)

// TestPackingStaysNearTheLowerBound holds the rules to what they are chosen for: with tasks that look like those of
// compose projects, in random order, at most 3.1 % over the lower bound one by one and 0.2 % as a batch.
func TestPackingStaysNearTheLowerBound(t *testing.T) {
	for _, m := range quality.Mixes(5000)[:4] {
		t.Run(m.Name, func(t *testing.T) {
			bound := quality.LowerBound(&m)
			shuffled := m.Shuffled(1)
			if hosts := quality.Online(&shuffled); 1000*(hosts-bound) > 31*bound {
				t.Errorf("one by one on %d hosts, %.2f %% over the bound of %d", hosts, quality.Over(hosts, bound), bound)
			}
			for _, m := range []*quality.Mix{&m, &shuffled} {
				if hosts := quality.Batch(m); 1000*(hosts-bound) > 2*bound {
					t.Errorf("as a batch on %d hosts, %.2f %% over the bound of %d", hosts, quality.Over(hosts, bound), bound)
				}
			}
		})
	}
}

func TestReportHasALineForEachMix(t *testing.T) {
	var b strings.Builder
	mixes := quality.Mixes(40)
	if err := quality.Report(&b, mixes); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 1+len(mixes) {
		t.Fatalf("%d lines:\n%s", len(lines), &b)
	}
	for i, m := range mixes {
		if f := strings.Fields(lines[i+1]); len(f) != 3+2*len(quality.Rules()) || f[0] != m.Name || f[1] != "40" {
			t.Errorf("line %q is not about the 40 tasks of %s", lines[i+1], m.Name)
		}
	}
}
