package placement

import (
	"cmp"
	"strconv"
)

// NetworkLabel is on every engine network that an agent made for an overlay; its value is the VNI. Agents never touch
// networks without it.
const NetworkLabel = "berth.network"

// BareHashLabel is on the containers of services that depend on a provider: Service.BareHash. It tells whether the file
// changed when the provider was not called, and nobody knows its variables.
const BareHashLabel = "berth.config-hash"

// RecordLabel is on what belongs to a cluster, so that a lost store can be rebuilt: on an engine network that an agent
// made the Network as JSON, without labels and with this host's block only; on a task's container its ContainerRecord.
const RecordLabel = "berth.record"

// ContainerName is the final name of a service's n-th container: container_name, or <project>-<service>-<n>.
func (p *Project) ContainerName(s *Service, n int) string {
	if s.ContainerName != "" {
		return s.ContainerName
	}
	sep := cmp.Or(p.Separator, "-")
	return p.Name + sep + s.Name + sep + strconv.Itoa(n)
}

// OneOffName is the name of a one-off container of a service: <project>-<service>-run-<the slug's first 12 digits>.
func (p *Project) OneOffName(s *Service, slug string) string {
	sep := cmp.Or(p.Separator, "-")
	return p.Name + sep + s.Name + sep + "run" + sep + slug[:min(12, len(slug))]
}

// ImageName is the reference that a service's containers are made from: its image, or the name that a build gets.
func (p *Project) ImageName(s *Service) string {
	return cmp.Or(s.Image, p.Name+cmp.Or(p.Separator, "-")+s.Name)
}
