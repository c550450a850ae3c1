package engine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"berth/placement"
)

// Labels that docker compose sets on what it makes, and that berth sets alike, so that each tool finds the other's.
const (
	labelProject     = "com.docker.compose.project"
	labelService     = "com.docker.compose.service"
	labelNumber      = "com.docker.compose.container-number"
	labelOneOff      = "com.docker.compose.oneoff"
	labelSlug        = "com.docker.compose.slug"
	labelConfigHash  = "com.docker.compose.config-hash"
	labelImage       = "com.docker.compose.image"
	labelDependsOn   = "com.docker.compose.depends_on"
	labelVersion     = "com.docker.compose.version"
	labelConfigFiles = "com.docker.compose.project.config_files"
	labelEnvFiles    = "com.docker.compose.project.environment_file"
	labelWorkingDir  = "com.docker.compose.project.working_dir"
	labelReplace     = "com.docker.compose.replace"
	labelNetwork     = "com.docker.compose.network"
	labelVolume      = "com.docker.compose.volume"
	labelBuilder     = "com.docker.compose.image.builder"
	composePrefix    = "com.docker.compose."
)

// Labels of berth's own.
const (
	berthPrefix  = "berth."
	labelBerth   = "berth.version"   // on containers that berth made: conversionVersion
	labelTask    = "berth.task"      // "web.3"
	labelCPUs    = "berth.cpus"      // reserved millicores
	labelMemory  = "berth.memory"    // reserved bytes
	labelCounted = "berth.resources" // GPUs and generic resources: "gpu=1,ssd=2"
	labelIngress = "berth.ingress"   // ports in mode ingress: "80:8000/tcp,53:53/udp"
	labelAgent   = "berth.agent"     // on berth's agent: its version
	labelCluster = "berth.cluster"   // on berth's agent: the cluster's ID
	labelSeed    = "berth.seed"      // on a volume that stands for a folder of the user's: "fixed" or "data"; on the container that fills one: the volume's name
	labelMark    = "berth.mark"      // on a container that is never started: who holds what its name stands for
)

// The labels that commands read, from containers and from their events' attributes.
const (
	ProjectLabel     = labelProject
	ServiceLabel     = labelService
	NumberLabel      = labelNumber      // of a replica, from 1
	OneOffLabel      = labelOneOff      // "True" on one-offs
	ConfigFilesLabel = labelConfigFiles // absolute paths, joined by commas
	ConfigHashLabel  = labelConfigHash
	NetworkKeyLabel  = labelNetwork  // of a network: its key in the file
	ReplaceLabel     = labelReplace  // name of the container that this one was made to replace
	ComposePrefix    = composePrefix // of all labels that docker compose keeps its books in
	BerthPrefix      = berthPrefix   // of berth's own
)

// ComposeVersion is the docker compose release whose way of making containers berth follows.
const ComposeVersion = "2.40.3"

// conversionVersion counts the changes of how berth turns services into containers.
const conversionVersion = "1"

// containerLabels are all labels of a task's container: the user's, and those that compose and berth find it by.
func containerLabels(s *CreateSpec, by surroundings) map[string]string {
	svc := s.Service
	labels := map[string]string{}
	for k, v := range svc.Spec.Labels {
		labels[k] = v
	}
	for k, v := range svc.Spec.CustomLabels {
		labels[k] = v
	}
	labels[labelProject] = s.Project.Name
	labels[labelService] = svc.Name
	labels[labelVersion] = ComposeVersion
	labels[labelWorkingDir] = s.Project.Dir
	if s.Project.Compose != nil {
		labels[labelConfigFiles] = strings.Join(s.Project.Compose.ComposeFiles, ",")
	}
	if len(s.Project.EnvFiles) > 0 {
		labels[labelEnvFiles] = strings.Join(s.Project.EnvFiles, ",")
	}
	labels[labelConfigHash] = svc.ConfigHash
	if svc.BareHash != "" {
		labels[placement.BareHashLabel] = svc.BareHash
	}
	labels[labelDependsOn] = dependsOnLabel(svc.DependsOn)
	if by.ImageID != "" {
		labels[labelImage] = by.ImageID
	}
	if s.Replaces != "" {
		labels[labelReplace] = s.Replaces
	}
	if s.OneOff {
		labels[labelOneOff] = "True"
		labels[labelSlug] = s.Slug
	} else {
		labels[labelOneOff] = "False"
		labels[labelNumber] = strconv.Itoa(s.Task.Number)
		labels[labelTask] = s.Task.String()
		if len(svc.Ingress) > 0 {
			labels[labelIngress] = ingressLabel(svc.Ingress)
		}
	}
	labels[labelBerth] = conversionVersion
	if r := svc.Reservation; r.CPU > 0 {
		labels[labelCPUs] = strconv.FormatInt(r.CPU, 10)
	}
	if r := svc.Reservation; r.Memory > 0 {
		labels[labelMemory] = strconv.FormatInt(r.Memory, 10)
	}
	if len(svc.Resources) > 0 {
		labels[labelCounted] = svc.Resources.String()
	}
	if s.Cluster {
		rec := s.Record
		rec.Endpoints, rec.Joins, rec.Unchecked = s.Endpoints, s.joins(), by.Unchecked
		if b, err := json.Marshal(rec); err == nil {
			labels[placement.RecordLabel] = string(b)
		}
	}
	return labels
}

// dependsOnLabel is compose's record of depends_on, `service:condition:restart` joined by commas.
func dependsOnLabel(deps []placement.Dependency) string {
	parts := make([]string, len(deps))
	for i, d := range deps {
		parts[i] = d.Service + ":" + string(d.Condition) + ":" + strconv.FormatBool(d.Restart)
	}
	return strings.Join(parts, ",")
}

// reservation reads what a container's labels say that it reserves.
func reservation(labels map[string]string) placement.Reservation {
	cpu, _ := strconv.ParseInt(labels[labelCPUs], 10, 64)
	memory, _ := strconv.ParseInt(labels[labelMemory], 10, 64)
	return placement.Reservation{CPU: max(cpu, 0), Memory: max(memory, 0)}
}

// ingressLabel is the record of ports in mode ingress, which engines know nothing of.
func ingressLabel(ports []placement.Port) string {
	parts := make([]string, len(ports))
	for i, p := range ports {
		parts[i] = fmt.Sprintf("%d:%d/%s", p.Published, p.Target, p.Protocol)
	}
	return strings.Join(parts, ",")
}

// ingressPorts reads it.
func ingressPorts(label string) []placement.Port {
	var all []placement.Port
	for part := range strings.SplitSeq(label, ",") {
		var p placement.Port
		if n, err := fmt.Sscanf(part, "%d:%d/%s", &p.Published, &p.Target, &p.Protocol); n == 3 && err == nil {
			all = append(all, p)
		}
	}
	return all
}

// ownLabel reports whether a label is bookkeeping of compose or berth, not the user's.
func ownLabel(key string) bool {
	return strings.HasPrefix(key, composePrefix) || key == labelBerth || key == labelTask || key == placement.RecordLabel || key == labelCounted || key == labelCPUs || key == labelMemory || key == labelIngress
}

// ImageLabels are the labels of an image built for a service.
func ImageLabels(project, service string, classic bool) map[string]string {
	labels := map[string]string{labelProject: project, labelService: service, labelVersion: ComposeVersion}
	if classic {
		labels[labelBuilder] = "classic"
	}
	return labels
}
