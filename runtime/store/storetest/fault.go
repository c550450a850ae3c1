package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Fault is one way to hurt a store's servers, or the way to them, that the environment of a driver's tests offers.
type Fault struct {
	// On is the member that it is about: two faults at a time are never on the same one. "" is the whole store.
	On string
	// Name is what is done: "kill -9", "stop", "cut off".
	Name string
	// Inflict does it and Heal undoes it. A Heal may return before the store serves again.
	Inflict, Heal func(ctx context.Context) error
}

// How long a fault lasts, and the store is well between two: shorter than an election and longer, so that members are
// hit before, in and after it.
const (
	shortestFault, longestFault = 100 * time.Millisecond, 1800 * time.Millisecond
	shortestPeace, longestPeace = 50 * time.Millisecond, 700 * time.Millisecond
)

func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(random.Int64N(int64(most-least)))
}

// torment inflicts one fault after the other, at times two at once, until ctx ends, and heals them all. It counts them.
func torment(ctx context.Context, faults []Fault, random *rand.Rand, count *atomic.Int64, tell func(format string, args ...any)) error {
	healing := context.WithoutCancel(ctx)
	for len(faults) > 0 && rest(ctx, between(random, shortestPeace, longestPeace)) {
		chosen := []Fault{faults[random.IntN(len(faults))]}
		if second := faults[random.IntN(len(faults))]; random.IntN(4) == 0 && second.On != chosen[0].On && second.On != "" && chosen[0].On != "" {
			chosen = append(chosen, second)
		}
		for i, f := range chosen {
			tell("%s %s", f.Name, f.On)
			if err := f.Inflict(ctx); err != nil {
				for _, before := range chosen[:i] {
					_ = before.Heal(healing)
				}
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("inflict %s %s: %w", f.Name, f.On, err)
			}
			count.Add(1)
		}
		rest(ctx, between(random, shortestFault, longestFault))
		for _, f := range chosen {
			if err := f.Heal(healing); err != nil {
				return fmt.Errorf("heal %s %s: %w", f.Name, f.On, err)
			}
			tell("healed %s %s", f.Name, f.On)
		}
	}
	return nil
}

// rest waits; it is false when ctx ends first.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
