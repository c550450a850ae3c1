package engine

import (
	"bytes"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/docker/cli/cli/config/configfile"
)

// Where use_api_socket puts the engine's socket and the user's logins, as docker compose does.
const (
	apiSocket  = "/var/run/docker.sock"
	apiConfig  = "DOCKER_CONFIG"
	apiLogins  = secretsDir + "docker/config.json"
	apiSetting = apiConfig + "=/run/secrets/docker"
)

// apiAccess hands the engine's socket and the user's logins to a container that asks for them (use_api_socket).
func (c *creation) apiAccess(s *CreateSpec, by surroundings) error {
	if !s.Service.Spec.UseAPISocket {
		return nil
	}
	if !s.mountsAt(apiSocket) {
		socket := by.Socket
		if socket == "" {
			socket = apiSocket
		}
		c.Host.Binds = append(c.Host.Binds, socket+":"+apiSocket+":rw")
	}
	if !slices.ContainsFunc(c.Config.Env, func(e string) bool { return e == apiConfig || strings.HasPrefix(e, apiConfig+"=") }) {
		c.Config.Env = append(c.Config.Env, apiSetting)
		slices.Sort(c.Config.Env)
	}
	content := []byte(`{"auths":{}}`)
	if by.Logins != nil {
		var err error
		if content, err = by.Logins(); err != nil {
			return err
		}
	}
	if !s.mountsAt(apiLogins) && !s.mountsAt(path.Dir(apiLogins)) {
		c.Files = append(c.Files, injected{Target: apiLogins, Content: string(content), Mode: injectedMode})
	}
	return nil
}

// logins is docker's configuration with all of the user's logins in it, also those that helpers keep, and nothing else.
func (e *Engine) logins() ([]byte, error) {
	file, err := e.config()
	if err != nil {
		return nil, err
	}
	all, err := file.GetAllCredentials()
	if err != nil {
		return nil, err
	}
	only := configfile.New("")
	only.AuthConfigs = all
	var b bytes.Buffer
	if err := only.SaveToWriter(&b); err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, b.Bytes()); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}
