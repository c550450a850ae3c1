package loader

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// building is what planning needs of `build:`; nil without one.
func building(service *types.ServiceConfig) (*placement.Build, error) {
	if service.Build == nil {
		return nil, nil
	}
	b := &placement.Build{Platforms: service.Build.Platforms}
	for _, from := range service.Build.AdditionalContexts {
		if name, ok := strings.CutPrefix(from, types.ServicePrefix); ok {
			b.Uses = append(b.Uses, name)
		}
	}
	slices.Sort(b.Uses)
	b.Uses = slices.Compact(b.Uses)
	for _, at := range []struct {
		labels types.Labels
		key    string
	}{{service.Labels, ".labels."}, {service.Build.Labels, ".build.labels."}} {
		text, ok := at.labels[LabelBuildOn]
		if !ok {
			continue
		}
		on, err := placement.ParseConstraints(text)
		for _, c := range on {
			if c.Soft || c.Kind() != placement.AboutHost {
				err = fmt.Errorf("constraint %s: what builds is chosen by hard constraints on hosts only; write one like node.name == web1", c)
			}
		}
		if err != nil {
			return nil, &Error{Key: "services." + service.Name + at.key + LabelBuildOn, Err: err}
		}
		b.On = append(b.On, on...)
	}
	return b, nil
}

// policy is pull_policy, to which pull_refresh_after gives the age of an image that is pulled anew.
func policy(service *types.ServiceConfig) string {
	if service.PullRefreshAfter != "" && (service.PullPolicy == "" || service.PullPolicy == types.PullPolicyRefresh) {
		return "every_" + service.PullRefreshAfter
	}
	return service.PullPolicy
}

// pullEvery is the age at which the image of a service is pulled anew: that of daily, weekly and every_<duration>.
func pullEvery(service *types.ServiceConfig) (time.Duration, error) {
	var s types.ServiceConfig
	s.PullPolicy = policy(service)
	_, age, err := s.GetPullPolicy()
	if err != nil {
		return 0, &Error{Key: "services." + service.Name + ".pull_policy",
			Err: fmt.Errorf("%q is no policy; want always, never, missing, build, daily, weekly or every_<duration>, as in every_12h", s.PullPolicy)}
	}
	return age, nil
}
