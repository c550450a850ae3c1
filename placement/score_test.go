package placement

import "testing"

func TestTheHostWithTheBestScoreIsTheOneThatIsChosen(t *testing.T) {
	rules, err := ParseConstraints("node.labels.type == web")
	if err != nil {
		t.Fatal(err)
	}
	web := &Service{Name: "web", Constraints: rules, Preferences: []Preference{{Spread: "node.labels.zone"}}}
	b := NewBoard([]Host{ready("a", 1000, "type", "web", "zone", "x"), ready("b", 1000, "zone", "x"), ready("c", 1000, "type", "web", "zone", "y")})
	b.Hold(1, Task{"web", 1}, Reservation{}, nil) // from before the constraint: it has to leave
	r := b.NewRequest(web, Task{"web", 2})
	best, ok := b.Best(r)
	scores := b.Scores(r)
	if !ok || best != 0 || scores[0].Host != "a" || scores[0].Groups[0].Tasks != 0 {
		t.Errorf("host %d is chosen, the scores are %+v", best, scores)
	}
}
