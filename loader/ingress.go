package loader

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// A port in mode ingress is the whole cluster's. compose-go says ingress of every port whose entry names no mode, the
// short form's among them, while docker compose publishes them all on the one host: so the mode counts only where it is
// written. For those that do not write it, the label berth.ports.mode of the service or x-berth at the top decides.

// The modes of a port.
const (
	modeHost    = "host"
	modeIngress = "ingress"
)

// extensionPorts is the key of x-berth for the mode of ports that name none.
const extensionPorts = "ports"

// modeMark is put before a mode that a file names, while its model is loaded for that alone.
const modeMark = "written "

// portModes are the modes that the files name, by service and portID.
type portModes map[[2]string]string

// markPortModes makes compose-go mark the modes that it reads, which tells them from those that it adds.
func markPortModes(l *loader.Options) {
	marked := maps.Clone(l.Interpolate.TypeCastMapping)
	marked[tree.NewPath("services", tree.PathMatchAll, "ports", tree.PathMatchList, "mode")] = func(value string) (any, error) {
		return modeMark + value, nil
	}
	interpolate := *l.Interpolate
	interpolate.TypeCastMapping = marked
	l.Interpolate = &interpolate
}

// portID is what tells the ports of a service apart in compose-go's model.
func portID(hostIP, published, target, protocol any) string {
	return fmt.Sprint(cmp.Or(hostIP, any("")), " ", cmp.Or(published, any("")), " ", target, " ", protocol)
}

func findPortModes(model map[string]any) portModes {
	found := portModes{}
	services, _ := model["services"].(map[string]any)
	for name, service := range services {
		entry, _ := service.(map[string]any)
		ports, _ := entry["ports"].([]any)
		for _, p := range ports {
			port, _ := p.(map[string]any)
			mode, _ := port["mode"].(string)
			if len(mode) > len(modeMark) && mode[:len(modeMark)] == modeMark {
				id := portID(port["host_ip"], port["published"], port["target"], port["protocol"])
				found[[2]string{name, id}] = mode[len(modeMark):]
			}
		}
	}
	return found
}

// ingress moves the ports in mode ingress from the services' own ports to those of the cluster. They count in the config
// hash, as ports do.
func ingress(p *placement.Project, modes portModes) error {
	project, err := projectPortsMode(p.Compose)
	if err != nil {
		return err
	}
	for _, s := range p.Services {
		preset, err := servicePortsMode(s, project)
		if err != nil {
			return err
		}
		var ports []placement.Port
		var kept []types.ServicePortConfig
		for i, c := range s.Spec.Ports {
			written := modes[[2]string{s.Name, portID(c.HostIP, c.Published, c.Target, c.Protocol)}]
			key := fmt.Sprintf("services.%s.ports.%d", s.Name, i)
			switch mode := cmp.Or(written, preset); mode {
			case modeHost:
				ports, kept = append(ports, s.Ports[i]), append(kept, c)
			case modeIngress:
				if slices.Contains(s.Ingress, s.Ports[i]) {
					continue // merged files may have one entry twice
				}
				if err := checkIngress(s, s.Ports[i]); err != nil {
					return &Error{Key: key, Err: err}
				}
				s.Ingress = append(s.Ingress, s.Ports[i])
			default:
				return &Error{Key: key + ".mode", Err: fmt.Errorf("%q is no mode; want host or ingress", mode)}
			}
		}
		if len(s.Ingress) == 0 {
			continue
		}
		spec := *s.Spec
		spec.Ports = kept
		base, err := ServiceHash(spec)
		if err != nil {
			return &Error{Key: "services." + s.Name, Err: err}
		}
		s.Ports, s.Spec, s.ConfigHash = ports, &spec, withContents(base, ingressLines(s))
	}
	return nil
}

// ingressLines are the ports in mode ingress as they count in the config hash.
func ingressLines(s *placement.Service) []string {
	var lines []string
	for _, p := range s.Ingress {
		lines = append(lines, fmt.Sprintf("ingress %d:%d/%s", p.Published, p.Target, p.Protocol))
	}
	slices.Sort(lines)
	return lines
}

// checkIngress refuses what cannot be the port of a whole cluster.
func checkIngress(s *placement.Service, p placement.Port) error {
	switch {
	case s.Spec.NetworkMode != "" || len(s.Networks) == 0:
		return errors.New("mode ingress needs a network of the cluster, over which all hosts reach the service; " +
			"use mode: host, or networks: in place of network_mode")
	case p.HostIP != "":
		return fmt.Errorf("mode ingress publishes a port on every address of every host, not on %s; use mode: host, or leave host_ip out", p.HostIP)
	case p.Published == 0:
		return errors.New("mode ingress needs one published port, the same on every host; write published: with a number")
	case p.Protocol != "tcp" && p.Protocol != "udp":
		return fmt.Errorf("mode ingress knows tcp and udp, not %s; use mode: host", p.Protocol)
	}
	for _, q := range s.Ingress {
		if q.Published == p.Published && q.Protocol == p.Protocol {
			return fmt.Errorf("port %s is published twice in mode ingress", p)
		}
	}
	return nil
}

// servicePortsMode is the mode of a service's ports that name none.
func servicePortsMode(s *placement.Service, project string) (string, error) {
	mode := project
	labels := []struct {
		labels types.Labels
		key    string
	}{{s.Spec.Labels, ".labels."}}
	if s.Spec.Deploy != nil {
		labels = append(labels, struct {
			labels types.Labels
			key    string
		}{s.Spec.Deploy.Labels, ".deploy.labels."})
	}
	for _, at := range labels {
		if value, ok := at.labels[LabelPortsMode]; ok {
			if value != modeHost && value != modeIngress {
				return "", &Error{Key: "services." + s.Name + at.key + LabelPortsMode, Err: fmt.Errorf("%q is no mode; want host or ingress", value)}
			}
			mode = value
		}
	}
	return mode, nil
}

// projectPortsMode is what x-berth says of ports that name no mode.
func projectPortsMode(p *types.Project) (string, error) {
	settings, _ := p.Extensions[extension].(map[string]any) // projectStrategy has looked at its form
	value, ok := settings[extensionPorts]
	if !ok {
		return modeHost, nil
	}
	if value != modeHost && value != modeIngress {
		return "", &Error{Key: extension + "." + extensionPorts, Err: fmt.Errorf("want host or ingress here, the mode of ports that name none, not %v", value)}
	}
	return value.(string), nil
}
