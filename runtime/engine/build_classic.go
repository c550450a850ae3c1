package engine

import (
	"context"
	"errors"
	"io"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/registry"
	"github.com/tonistiigi/fsutil"
)

// buildClassic builds with the engine's first builder, which gets its files as one archive. Its Dockerfile must be among
// them.
func (e *Engine) buildClassic(ctx context.Context, spec BuildSpec, log *buildLog) (string, error) {
	if len(spec.Secrets)+len(spec.SSH) > 0 {
		return "", errors.New("the classic builder has neither secrets nor ssh; unset DOCKER_BUILDKIT to use BuildKit")
	}
	opts := spec.options()
	opts.Version = build.BuilderV1
	opts.AuthConfigs = e.allCredentials()
	if spec.Context == nil {
		return e.request(ctx, nil, opts, log)
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := fsutil.WriteTar(ctx, spec.Context, w)
		w.CloseWithError(err)
		packed <- err
	}()
	id, err := e.request(ctx, r, opts, log)
	r.Close()
	if packing := <-packed; packing != nil && !errors.Is(packing, io.ErrClosedPipe) {
		return "", packing
	}
	return id, err
}

// allCredentials is what docker's configuration knows of registries: the classic builder wants it beforehand.
func (e *Engine) allCredentials() map[string]registry.AuthConfig {
	file, err := e.config()
	if err != nil {
		return nil
	}
	known, err := file.GetAllCredentials()
	if err != nil {
		return nil // a helper that does not work shows when a registry refuses
	}
	all := map[string]registry.AuthConfig{}
	for server, a := range known {
		all[server] = registry.AuthConfig{
			Username: a.Username, Password: a.Password, Auth: a.Auth, ServerAddress: a.ServerAddress,
			IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken,
		}
	}
	return all
}
