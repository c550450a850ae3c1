package placement

import (
	"slices"
	"testing"
)

func TestEvenLeavesTasksThatStayWhereTheyAre(t *testing.T) {
	for name, c := range map[string]struct {
		have, stay, want []int32
	}{
		"all may go":        {[]int32{4, 0}, []int32{0, 0}, []int32{2, 2}},
		"most stay":         {[]int32{4, 0}, []int32{3, 0}, []int32{3, 1}},
		"all stay":          {[]int32{4, 0, 1}, []int32{4, 0, 0}, []int32{4, 0, 1}},
		"none has too many": {[]int32{2, 1}, []int32{0, 0}, []int32{2, 1}},
	} {
		hosts := make([]Host, len(c.have))
		for i := range hosts {
			hosts[i] = ready(string(rune('a'+i)), 9000)
		}
		b := NewBoard(hosts)
		for h, n := range c.have {
			for range n {
				b.Hold(h, Task{"web", 1}, Reservation{CPU: 100}, nil)
			}
		}
		r := b.NewRequest(&Service{Name: "web", Reservation: Reservation{CPU: 100}}, Task{"web", 1})
		if got := b.Even(r, c.stay); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v with %v that stay became %v, want %v", name, c.have, c.stay, got, c.want)
		}
	}
}
