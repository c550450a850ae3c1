package table

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/docker/go-units"

	"berth/runtime/cluster"
)

// Store writes what is known of a cluster's store: a line each of what it is as a whole, then its servers, then the hosts
// on it. With format JSON it is one object.
func Store(w io.Writer, s *cluster.StoreStatus, format string) error {
	if format == JSON {
		return json.NewEncoder(w).Encode(s)
	}
	tw := tabwriter.NewWriter(w, 10, 1, 3, ' ', 0)
	fmt.Fprintf(tw, "STORE\t%s\n", s.Store)
	fmt.Fprintf(tw, "CLUSTER\t%s\n", s.Cluster)
	fmt.Fprintf(tw, "REVISION\t%d\n", s.Revision)
	fmt.Fprintf(tw, "KEYS\t%d, %s\n", s.Keys, units.HumanSize(float64(s.Bytes)))
	for _, l := range s.Locks {
		fmt.Fprintf(tw, "LOCK\tproject %s by \"%s\" (process %d on %s)\n", l.Project, l.Command, l.PID, l.Machine)
	}
	if len(s.Servers) > 0 {
		fmt.Fprint(tw, "\nSERVER\tHOST\tSTATE\tVERSION\tREVISION\tSIZE\n")
	}
	for _, one := range s.Servers {
		state := cmp.Or(one.Problem, one.Role, "healthy")
		size, revision := "-", "-"
		if one.Revision > 0 { // others do not say
			size, revision = units.HumanSize(float64(one.Size)), fmt.Sprint(one.Revision)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", one.Endpoint, cmp.Or(one.Host, "-"), state, cmp.Or(one.Version, "-"), revision, size)
	}
	fmt.Fprint(tw, "\nHOST\tALIVE\tTOLD\tAGENT\n")
	for _, h := range s.Hosts {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", h.Host, yesNo(h.Alive), yesNo(h.Told), cmp.Or(h.Agent, "-"))
	}
	return tw.Flush()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
