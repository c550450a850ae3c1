package engine

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
)

// difference says in which key what an engine runs (inspect) differs from what convert wants, "" when in none. Both
// sides are brought to one form first: the image's defaults merged in as the engine does at creation, defaults of the
// engine filled in or left out, lists without an order sorted. Not compared: the image (its ID is, elsewhere), labels of
// compose and berth, names.
//
// image is the configuration of the image that the container was made from; nil when it is gone.
func difference(want *creation, have container.InspectResponse, image *dockerspec.DockerOCIImageConfig) string {
	if image == nil {
		image = &dockerspec.DockerOCIImageConfig{}
	}
	if have.ContainerJSONBase == nil || have.Config == nil || have.HostConfig == nil {
		return "container"
	}
	for _, group := range [][]aspect{
		processAspects(want, have, image), hostAspects(want, have), resourceAspects(want.Host, have.HostConfig),
		mountAspects(want, have), networkAspects(want, have),
	} {
		for _, a := range group {
			if !same(a.want, a.have) {
				return a.key
			}
		}
	}
	return ""
}

// aspect is one key in comparable form.
type aspect struct {
	key        string
	want, have any
}

// same is deep equality in which empty and nil lists and maps are the same.
func same(a, b any) bool {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	if va.IsValid() && vb.IsValid() && va.Type() == vb.Type() {
		switch va.Kind() {
		case reflect.Slice, reflect.Map:
			if va.Len() == 0 && vb.Len() == 0 {
				return true
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

// processAspects are what runs inside, after the image's defaults (moby daemon/commit.go, merge).
func processAspects(want *creation, have container.InspectResponse, image *dockerspec.DockerOCIImageConfig) []aspect {
	w, h := want.Config, have.Config
	cmd, entrypoint := []string(w.Cmd), []string(w.Entrypoint)
	if len(entrypoint) == 0 {
		if len(cmd) == 0 {
			cmd = image.Cmd
		}
		if w.Entrypoint == nil {
			entrypoint = image.Entrypoint
		}
	}
	if len(entrypoint) == 1 && entrypoint[0] == "" {
		entrypoint = nil
	}
	exposed := map[string]bool{}
	for p := range image.ExposedPorts {
		exposed[portWithProto(p)] = true
	}
	for p := range w.ExposedPorts {
		exposed[string(p)] = true
	}
	haveExposed := map[string]bool{}
	for p := range h.ExposedPorts {
		haveExposed[portWithProto(string(p))] = true
	}
	hostname := h.Hostname
	if w.Hostname == "" {
		hostname = "" // the engine's choice: the short ID, or the host's name
		if len(have.ID) < 12 || h.Hostname != have.ID[:12] && !have.HostConfig.NetworkMode.IsHost() &&
			!have.HostConfig.NetworkMode.IsContainer() && !have.HostConfig.UTSMode.IsHost() {
			hostname = h.Hostname
		}
	}
	return []aspect{
		{"command", cmd, []string(h.Cmd)},
		{"entrypoint", entrypoint, []string(h.Entrypoint)},
		{"environment", mergedEnv(image.Env, w.Env), mergedEnv(nil, h.Env)},
		{"user", cmp.Or(w.User, image.User), h.User},
		{"working_dir", cmp.Or(w.WorkingDir, image.WorkingDir, "/"), cmp.Or(h.WorkingDir, "/")},
		{"labels", userLabels(image.Labels, w.Labels), userLabels(nil, h.Labels)},
		{"hostname", w.Hostname, hostname},
		{"domainname", w.Domainname, h.Domainname},
		{"tty", w.Tty, h.Tty},
		{"stdin_open", w.OpenStdin, h.OpenStdin},
		{"stop_signal", cmp.Or(w.StopSignal, image.StopSignal), h.StopSignal},
		{"stop_grace_period", valueOr(w.StopTimeout, -1), valueOr(h.StopTimeout, -1)},
		{"healthcheck", mergedHealth(w.Healthcheck, image.Healthcheck), mergedHealth(h.Healthcheck, nil)},
		{"expose", exposed, haveExposed},
	}
}

func portWithProto(p string) string {
	if !strings.Contains(p, "/") {
		return p + "/tcp"
	}
	return p
}

// mergedEnv is an environment over the image's. A bare name takes a variable away.
func mergedEnv(image, own []string) map[string]string {
	env := map[string]string{}
	for _, list := range [][]string{image, own} {
		for _, kv := range list {
			if k, v, ok := strings.Cut(kv, "="); ok {
				env[k] = v
			} else {
				delete(env, k)
			}
		}
	}
	return env
}

func userLabels(image, own map[string]string) map[string]string {
	labels := map[string]string{}
	for _, m := range []map[string]string{image, own} {
		for k, v := range m {
			if !ownLabel(k) {
				labels[k] = v
			}
		}
	}
	return labels
}

// mergedHealth is a check over the image's: a field that is not set takes the image's.
func mergedHealth(own, image *container.HealthConfig) container.HealthConfig {
	if own == nil {
		own = &container.HealthConfig{}
	}
	if image == nil {
		image = &container.HealthConfig{}
	}
	m := *own
	if len(m.Test) == 0 {
		m.Test = image.Test
	}
	if len(m.Test) == 0 {
		m.Test = nil
	}
	m.Interval = cmp.Or(m.Interval, image.Interval)
	m.Timeout = cmp.Or(m.Timeout, image.Timeout)
	m.StartPeriod = cmp.Or(m.StartPeriod, image.StartPeriod)
	m.StartInterval = cmp.Or(m.StartInterval, image.StartInterval)
	m.Retries = cmp.Or(m.Retries, image.Retries)
	return m
}

// hostAspects are the container's place on the host, resources, mounts and networks apart.
func hostAspects(want *creation, have container.InspectResponse) []aspect {
	w, h := want.Host, have.HostConfig
	logging := h.LogConfig
	if w.LogConfig.Type == "" {
		logging.Type = "" // the engine's default
	}
	if w.LogConfig.Type == "" && len(w.LogConfig.Config) == 0 {
		logging.Config = nil
	}
	runtime := h.Runtime
	if w.Runtime == "" {
		runtime = ""
	}
	return []aspect{
		{"restart", restartOf(w.RestartPolicy), restartOf(h.RestartPolicy)},
		{"privileged", w.Privileged, h.Privileged},
		{"read_only", w.ReadonlyRootfs, h.ReadonlyRootfs},
		{"init", valueOr(w.Init, false), valueOr(h.Init, false)},
		{"cap_add", capabilities(w.CapAdd), capabilities(h.CapAdd)},
		{"cap_drop", capabilities(w.CapDrop), capabilities(h.CapDrop)},
		{"security_opt", securityOf(w), securityOf(h)},
		{"group_add", sorted(w.GroupAdd), sorted(h.GroupAdd)},
		{"sysctls", w.Sysctls, h.Sysctls},
		{"shm_size", cmp.Or(w.ShmSize, h.ShmSize), h.ShmSize},
		{"dns", w.DNS, h.DNS},
		{"dns_opt", w.DNSOptions, h.DNSOptions},
		{"dns_search", w.DNSSearch, h.DNSSearch},
		{"extra_hosts", sorted(w.ExtraHosts), sorted(h.ExtraHosts)},
		{"ipc", cmp.Or(w.IpcMode, h.IpcMode), h.IpcMode},
		{"pid", w.PidMode, h.PidMode},
		{"uts", w.UTSMode, h.UTSMode},
		{"userns_mode", w.UsernsMode, h.UsernsMode},
		{"cgroup", cmp.Or(w.CgroupnsMode, h.CgroupnsMode), h.CgroupnsMode},
		{"isolation", cmp.Or(w.Isolation, h.Isolation), h.Isolation},
		{"runtime", w.Runtime, runtime},
		{"logging", [2]any{w.LogConfig.Type, nonNil(w.LogConfig.Config)}, [2]any{logging.Type, nonNil(logging.Config)}},
		{"oom_score_adj", w.OomScoreAdj, h.OomScoreAdj},
		{"storage_opt", w.StorageOpt, h.StorageOpt},
		{"annotations", w.Annotations, h.Annotations},
		{"volumes_from", w.VolumesFrom, h.VolumesFrom},
		{"volume_driver", w.VolumeDriver, h.VolumeDriver},
	}
}

func restartOf(p container.RestartPolicy) container.RestartPolicy {
	p.Name = cmp.Or(p.Name, container.RestartPolicyDisabled)
	if p.Name != container.RestartPolicyOnFailure {
		p.MaximumRetryCount = 0
	}
	return p
}

// capabilities are compared without case, prefix or order.
func capabilities(list []string) []string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = strings.TrimPrefix(strings.ToUpper(c), "CAP_")
	}
	return sorted(out)
}

// securityOf leaves out what the engine adds by itself to containers that share the host's namespaces.
func securityOf(h *container.HostConfig) []string {
	list := slices.DeleteFunc(slices.Clone(h.SecurityOpt), func(o string) bool {
		return o == "label=disable" && (h.Privileged || h.IpcMode.IsHost() || h.PidMode.IsHost())
	})
	for i, o := range list {
		if k, v, ok := strings.Cut(o, ":"); ok && !strings.Contains(k, "=") {
			list[i] = k + "=" + v
		}
	}
	return sorted(list)
}

// sorted is a sorted copy without repeats.
func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func nonNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
