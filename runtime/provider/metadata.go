package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
)

// metadata is what a program says of itself: the parameters of each of its actions.
type metadata struct {
	Description string  `json:"description"`
	Up          *action `json:"up"`
	Down        *action `json:"down"`
	Stop        *action `json:"stop"`
}

type action struct {
	Parameters []parameter `json:"parameters"`
}

type parameter struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
}

// metadata asks the program; nil when it says nothing, as it need not know the question.
func (c *Call) metadata(ctx context.Context, path string) *metadata {
	var out bytes.Buffer
	err := c.run(ctx, path, []string{"compose", "metadata"}, func(s stream) error {
		_, err := out.ReadFrom(s)
		return err
	})
	m := &metadata{}
	if err != nil || json.Unmarshal(out.Bytes(), m) != nil || m.Description == "" && m.of("up") == nil && m.of("down") == nil && m.Stop == nil {
		return nil
	}
	return m
}

// of are the parameters of an action, nil when the program names none.
func (m *metadata) of(name string) []parameter {
	if m == nil {
		return nil
	}
	a := map[string]*action{"up": m.Up, "down": m.Down, "stop": m.Stop}[name]
	if a == nil {
		return nil
	}
	return a.Parameters
}

// knows reports whether some action has a parameter of that name.
func (m *metadata) knows(name string) bool {
	return has(m.of("up"), name) || has(m.of("down"), name) || has(m.of("stop"), name)
}

func has(all []parameter, name string) bool {
	return slices.ContainsFunc(all, func(p parameter) bool { return p.Name == name })
}
