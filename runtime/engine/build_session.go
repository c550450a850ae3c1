package engine

import (
	"context"
	"fmt"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/session/filesync"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"google.golang.org/grpc"
)

// buildSession prepares what a build may ask of this process.
func (e *Engine) buildSession(ctx context.Context, spec BuildSpec) (*session.Session, error) {
	s, err := session.NewSession(ctx, spec.SharedKey)
	if err != nil {
		return nil, err
	}
	s.Allow(&buildAuth{engine: e})
	if spec.Context != nil {
		dirs := filesync.StaticDirSource{"context": spec.Context, "dockerfile": spec.Context}
		if spec.Dockerfile != nil {
			dirs["dockerfile"] = spec.Dockerfile
		}
		s.Allow(filesync.NewFSSyncProvider(dirs))
	}
	if len(spec.Secrets) > 0 {
		s.Allow(secretsprovider.FromMap(spec.Secrets))
	}
	for _, agent := range spec.SSH {
		s.Allow(agent)
	}
	return s, nil
}

// buildAuth hands registries' credentials of docker's own configuration to a build. Of the protocol's calls it knows
// the oldest only: builders fall back to it.
type buildAuth struct {
	auth.UnimplementedAuthServer
	engine *Engine
}

// Register adds it to a session.
func (a *buildAuth) Register(server *grpc.Server) { auth.RegisterAuthServer(server, a) }

// Credentials gives the user and password for a registry, empty where none is known.
func (a *buildAuth) Credentials(_ context.Context, req *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	host := req.Host
	if host == "registry-1.docker.io" {
		host = hubAccount
	}
	file, err := a.engine.config()
	if err != nil {
		return nil, err
	}
	known, err := file.GetAuthConfig(host)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w; log in with \"docker login\"", host, err)
	}
	if known.IdentityToken != "" {
		return &auth.CredentialsResponse{Secret: known.IdentityToken}, nil
	}
	return &auth.CredentialsResponse{Username: known.Username, Secret: known.Password}, nil
}
