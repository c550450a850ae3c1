package loader

import (
	"reflect"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// The model is printed with the compose-go of docker compose v2.40 in mind, which is older than ours: its services have
// their keys in another order, and it writes out two things that ours leaves out. What scripts compare or patch stays the
// same that way.

// serviceKeys is the order of a service's keys in docker compose v2.40. Keys that it does not know follow.
var serviceKeys = strings.Fields(`
profiles annotations attach build develop blkio_config cap_add cap_drop cgroup_parent cgroup cpu_count
cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpus cpuset cpu_shares command configs
container_name credential_spec depends_on deploy device_cgroup_rules devices dns dns_opt dns_search
dockerfile domainname entrypoint provider environment env_file expose extends external_links extra_hosts
group_add gpus hostname healthcheck image init ipc isolation labels links logging log_driver
log_opt mem_limit mem_reservation memswap_limit mem_swappiness mac_address models net network_mode networks
oom_kill_disable oom_score_adj pid pids_limit platform ports privileged pull_policy read_only restart runtime
scale secrets security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty
ulimits use_api_socket user userns_mode uts volume_driver volumes volumes_from working_dir post_start
pre_stop
`)

// printedProject is a project as it is printed; the services are views.
type printedProject struct {
	Name       string           `yaml:"name,omitempty"`
	Services   map[string]any   `yaml:"services"`
	Jobs       types.Jobs       `yaml:"jobs,omitempty"`
	Networks   types.Networks   `yaml:"networks,omitempty"`
	Volumes    types.Volumes    `yaml:"volumes,omitempty"`
	Secrets    types.Secrets    `yaml:"secrets,omitempty"`
	Configs    types.Configs    `yaml:"configs,omitempty"`
	Models     types.Models     `yaml:"models,omitempty"`
	Extensions types.Extensions `yaml:",inline"`
}

// canonical is the document of a project.
func canonical(p *types.Project) printedProject {
	d := printedProject{
		Name: p.Name, Services: map[string]any{}, Jobs: p.Jobs, Networks: p.Networks, Volumes: p.Volumes,
		Secrets: p.Secrets, Configs: p.Configs, Models: p.Models, Extensions: p.Extensions,
	}
	view := serviceView()
	for name, s := range p.Services {
		d.Services[name] = view.of(s)
	}
	return d
}

// tree is the document for JSON, where docker compose sorts the keys at the top and leaves models out.
func (d printedProject) tree() map[string]any {
	m := map[string]any{"name": d.Name, "services": d.Services}
	put := func(key string, n int, v any) {
		if n > 0 {
			m[key] = v
		}
	}
	put("jobs", len(d.Jobs), d.Jobs)
	put("networks", len(d.Networks), d.Networks)
	put("volumes", len(d.Volumes), d.Volumes)
	put("secrets", len(d.Secrets), d.Secrets)
	put("configs", len(d.Configs), d.Configs)
	for k, v := range d.Extensions {
		m[k] = v
	}
	return m
}

// view is a struct type with the fields of compose-go's ServiceConfig, flat and in the order of serviceKeys: encoders
// follow the order of a type's fields.
type view struct {
	typ  reflect.Type
	from [][]int // index in ServiceConfig, by field
}

// printed are the fields that are printed by another type than compose-go's.
var printed = map[string]reflect.Type{
	"volumes":  reflect.TypeFor[[]printedMount](),
	"env_file": reflect.TypeFor[[]any](),
}

func serviceView() view {
	known := map[string]int{}
	for i, key := range serviceKeys {
		known[key] = i
	}
	fields := make([]reflect.StructField, len(serviceKeys))
	for _, f := range reflect.VisibleFields(reflect.TypeFor[types.ServiceConfig]()) {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if f.Anonymous || f.Name == "Name" || key == "-" || key == "label_file" {
			continue // a name is the key above; what label files say stands in labels
		}
		if t, ok := printed[key]; ok {
			f.Type = t
		}
		if i, ok := known[key]; ok {
			fields[i] = f
		} else {
			fields = append(fields, f)
		}
	}
	v := view{}
	for i := range fields {
		v.from = append(v.from, fields[i].Index)
		fields[i].Index, fields[i].Offset = nil, 0
	}
	v.typ = reflect.StructOf(fields)
	return v
}

// of is a service in the view.
func (v view) of(s types.ServiceConfig) any {
	from, to := reflect.ValueOf(s), reflect.New(v.typ).Elem()
	for i, index := range v.from {
		field := from.FieldByIndex(index)
		switch value := field.Interface().(type) {
		case []types.ServiceVolumeConfig:
			to.Field(i).Set(reflect.ValueOf(printMounts(value)))
		case []types.EnvFile:
			to.Field(i).Set(reflect.ValueOf(printEnvFiles(value)))
		default:
			to.Field(i).Set(field)
		}
	}
	return to.Interface()
}

// printedMount is a mount whose bind says create_host_path where it is true; compose-go leaves the default out.
type printedMount struct {
	Type        string                     `yaml:"type,omitempty" json:"type,omitempty"`
	Source      string                     `yaml:"source,omitempty" json:"source,omitempty"`
	Target      string                     `yaml:"target,omitempty" json:"target,omitempty"`
	ReadOnly    bool                       `yaml:"read_only,omitempty" json:"read_only,omitempty"`
	Consistency string                     `yaml:"consistency,omitempty" json:"consistency,omitempty"`
	Bind        *printedBind               `yaml:"bind,omitempty" json:"bind,omitempty"`
	Volume      *types.ServiceVolumeVolume `yaml:"volume,omitempty" json:"volume,omitempty"`
	Tmpfs       *types.ServiceVolumeTmpfs  `yaml:"tmpfs,omitempty" json:"tmpfs,omitempty"`
	Image       *types.ServiceVolumeImage  `yaml:"image,omitempty" json:"image,omitempty"`
	Extensions  types.Extensions           `yaml:",inline" json:"-"`
}

type printedBind struct {
	SELinux        string           `yaml:"selinux,omitempty" json:"selinux,omitempty"`
	Propagation    string           `yaml:"propagation,omitempty" json:"propagation,omitempty"`
	CreateHostPath bool             `yaml:"create_host_path,omitempty" json:"create_host_path,omitempty"`
	Recursive      string           `yaml:"recursive,omitempty" json:"recursive,omitempty"`
	Extensions     types.Extensions `yaml:",inline" json:"-"`
}

func printMounts(mounts []types.ServiceVolumeConfig) []printedMount {
	var all []printedMount
	for _, m := range mounts {
		p := printedMount{
			Type: m.Type, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Consistency: m.Consistency,
			Volume: m.Volume, Tmpfs: m.Tmpfs, Image: m.Image, Extensions: m.Extensions,
		}
		if b := m.Bind; b != nil {
			p.Bind = &printedBind{SELinux: b.SELinux, Propagation: b.Propagation, CreateHostPath: bool(b.CreateHostPath),
				Recursive: b.Recursive, Extensions: b.Extensions}
		}
		all = append(all, p)
	}
	return all
}

type printedEnvFile struct {
	Path     string `yaml:"path" json:"path"`
	Required bool   `yaml:"required" json:"required"`
	Format   string `yaml:"format,omitempty" json:"format,omitempty"`
}

// printEnvFiles has a required file as its path alone, which is what an entry with nothing but a path means. (docker
// compose does so with a required file of another format, too, and loses the format.)
func printEnvFiles(files []types.EnvFile) []any {
	var all []any
	for _, f := range files {
		if f.Required && f.Format == "" {
			all = append(all, f.Path)
			continue
		}
		all = append(all, printedEnvFile{f.Path, bool(f.Required), f.Format})
	}
	return all
}
