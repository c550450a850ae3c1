package cli

import (
	"context"
	"errors"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"berth/runtime/engine"
)

// withDigests gives the project's images the digests that their registries have for them now. The registries are asked
// through an engine: that reaches what the hosts reach.
func (s *settings) withDigests(c *cli.Context, p *types.Project) (*types.Project, error) {
	ss, err := s.open(c, what{hostsOnly: true, silent: true})
	if err != nil {
		return nil, err
	}
	defer ss.close()
	return p.WithImagesResolved(func(image reference.Named) (digest.Digest, error) {
		return ss.digest(c.Context, image.String())
	})
}

// digest asks the hosts in turn, until one gets an answer.
func (ss *session) digest(ctx context.Context, image string) (digest.Digest, error) {
	var errs []error
	for _, h := range ss.inv.Hosts {
		d, err := ss.cluster.Engines()[h.Name].RegistryDigest(ctx, image)
		if err == nil {
			return digest.Digest(d), nil
		}
		errs = append(errs, err)
		if !engine.IsUnreachable(err) {
			break
		}
	}
	return "", errors.Join(errs...)
}
