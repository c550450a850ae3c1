package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
)

// healthcheck translates the service's check; nil leaves the image's in force.
func (c *creation) healthcheck(h *types.HealthCheckConfig, api string) (*container.HealthConfig, error) {
	if h == nil {
		return nil, nil
	}
	out := &container.HealthConfig{Test: h.Test}
	if h.Disable {
		return &container.HealthConfig{Test: []string{"NONE"}}, nil
	}
	for _, d := range []struct {
		from *types.Duration
		to   *time.Duration
	}{{h.Interval, &out.Interval}, {h.Timeout, &out.Timeout}, {h.StartPeriod, &out.StartPeriod}, {h.StartInterval, &out.StartInterval}} {
		if d.from != nil {
			*d.to = time.Duration(*d.from)
		}
	}
	if h.Retries != nil {
		out.Retries = int(*h.Retries)
	}
	if out.StartInterval != 0 && out.StartPeriod == 0 {
		return nil, errors.New("healthcheck.start_interval requires healthcheck.start_period to be set") // moby#48874
	}
	if out.StartInterval != 0 && !atLeast(api, "1.44") {
		c.warn("healthcheck.start_interval needs Docker 25 or later; interval is used from the start")
		out.StartInterval = 0
	}
	return out, nil
}

// restartPolicy is deploy.restart_policy where there is one, else restart. A job that has ended well stays ended.
func restartPolicy(s *types.ServiceConfig) container.RestartPolicy {
	p := servicePolicy(s)
	if s.Deploy != nil && strings.HasSuffix(s.Deploy.Mode, "-job") && (p.IsAlways() || p.IsUnlessStopped()) {
		return container.RestartPolicy{Name: container.RestartPolicyOnFailure}
	}
	return p
}

func servicePolicy(s *types.ServiceConfig) container.RestartPolicy {
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		p := container.RestartPolicy{Name: restartMode(s.Deploy.RestartPolicy.Condition)}
		if p.Name == "" {
			p.Name = container.RestartPolicyAlways // the condition's default is "any"
		}
		if n := s.Deploy.RestartPolicy.MaxAttempts; n != nil && p.Name == container.RestartPolicyOnFailure {
			p.MaximumRetryCount = int(*n)
		}
		return p
	}
	name, attempts, _ := strings.Cut(s.Restart, ":")
	p := container.RestartPolicy{Name: restartMode(name)}
	p.MaximumRetryCount, _ = strconv.Atoi(attempts)
	return p
}

// restartMode knows the words of both restart and deploy.restart_policy.condition.
func restartMode(word string) container.RestartPolicyMode {
	switch word {
	case "none":
		return container.RestartPolicyDisabled
	case "any":
		return container.RestartPolicyAlways
	}
	return container.RestartPolicyMode(word)
}

// seconds rounds a grace period up, so that a stop never cuts it short.
func seconds(d *types.Duration) *int {
	if d == nil {
		return nil
	}
	n := wholeSeconds(time.Duration(*d))
	return &n
}

func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// securityOptions are passed on, but for what the engine cannot read itself: a seccomp profile is a file on this side,
// and systempaths is the client's word for two lists.
func (c *creation) securityOptions(s *CreateSpec, by surroundings) error {
	for _, opt := range s.Service.Spec.SecurityOpt {
		if opt == "systempaths=unconfined" {
			c.Host.MaskedPaths, c.Host.ReadonlyPaths = []string{}, []string{}
			continue
		}
		key, value, found := strings.Cut(opt, "=")
		if !found {
			key, value, found = strings.Cut(opt, ":")
		}
		if !found && opt != "no-new-privileges" {
			return fmt.Errorf("security_opt %q is not key=value", opt)
		}
		if key == "seccomp" && value != "unconfined" && value != "builtin" {
			path := value
			if !filepath.IsAbs(path) {
				path = filepath.Join(s.Project.Dir, path)
			}
			profile, err := by.Read(path)
			if err != nil {
				return fmt.Errorf("security_opt: seccomp profile: %w", err)
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, profile); err != nil {
				return fmt.Errorf("security_opt: seccomp profile %s: %w", path, err)
			}
			opt = "seccomp=" + compact.String()
		}
		c.Host.SecurityOpt = append(c.Host.SecurityOpt, opt)
	}
	return nil
}

// namespaces resolves "service:x" to the container that the plan names for it.
func (c *creation) namespaces(s *CreateSpec, _ surroundings) error {
	svc := s.Service.Spec
	ipc, err := s.shared(svc.Ipc)
	if err != nil {
		return fmt.Errorf("ipc: %w", err)
	}
	pid, err := s.shared(svc.Pid)
	if err != nil {
		return fmt.Errorf("pid: %w", err)
	}
	c.Host.IpcMode, c.Host.PidMode = container.IpcMode(ipc), container.PidMode(pid)
	for _, from := range svc.VolumesFrom {
		if rest, ok := strings.CutPrefix(from, types.ContainerPrefix); ok {
			c.Host.VolumesFrom = append(c.Host.VolumesFrom, rest)
			continue
		}
		name, mode, hasMode := strings.Cut(from, ":")
		id := s.ShareWith[name]
		if id == "" {
			return fmt.Errorf("volumes_from: no container of service %s runs on this host", name)
		}
		if hasMode {
			id += ":" + mode
		}
		c.Host.VolumesFrom = append(c.Host.VolumesFrom, id)
	}
	return nil
}

// shared turns "service:x" into "container:<its container>"; anything else stays.
func (s *CreateSpec) shared(mode string) (string, error) {
	name, ok := strings.CutPrefix(mode, types.ServicePrefix)
	if !ok {
		return mode, nil
	}
	id := s.ShareWith[name]
	if id == "" {
		return "", fmt.Errorf("no container of service %s runs on this host", name)
	}
	return types.ContainerPrefix + id, nil
}
