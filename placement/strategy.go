package placement

import (
	"fmt"
	"strconv"
	"strings"
)

// Strategy is how placement chooses among the hosts that a task may run on.
type Strategy string

// The strategies.
const (
	Spread  Strategy = "spread"  // fewest tasks of the service first, then most free reservation (the default)
	Binpack Strategy = "binpack" // fullest host that still fits first
	Random  Strategy = "random"  // any host that fits; Service.Seed decides which
)

// ParseStrategy reads "spread", "binpack", "random" or "random:42", where the number is the seed: the same seed chooses
// the same hosts on every run. Without one it is 0.
func ParseStrategy(text string) (Strategy, uint64, error) {
	name, number, seeded := strings.Cut(strings.TrimSpace(text), ":")
	switch s := Strategy(name); {
	case s == Random && seeded:
		seed, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
		if err != nil {
			return "", 0, fmt.Errorf("seed %q is no whole number from 0 up; want one like random:42", number)
		}
		return s, seed, nil
	case (s == Spread || s == Binpack || s == Random) && !seeded:
		return s, 0, nil
	}
	return "", 0, fmt.Errorf("%q is no strategy; want spread, binpack, random or random:<seed>", text)
}
