package cli

import "regexp"

// commandsElsewhere says where berth has what users of swarms and of docker type first.
var commandsElsewhere = map[string]string{
	"node": nodesElsewhere, "nodes": nodesElsewhere,
	"drain": drainElsewhere, "cordon": drainElsewhere, "uncordon": drainElsewhere,
	"label": labelsElsewhere,
	"service": "what a service is stands in the compose file, \"berth up -d\" makes it so, \"berth scale web=3\" sets how many tasks " +
		"it has and \"berth ps\" lists them",
	"stack": stackElsewhere, "deploy": stackElsewhere,
	"update": "change the compose file and run \"berth up -d\"; \"berth plan\" shows before what that will do",
	"swarm":  clusterElsewhere, "cluster": clusterElsewhere, "init": clusterElsewhere, "join": clusterElsewhere, "leave": clusterElsewhere,
	"status":  "\"berth ps\" is about the project, \"berth hosts\" about the hosts, \"berth store status\" about the store",
	"backup":  "\"berth store backup FILE\" is it",
	"restore": "\"berth store restore FILE\" is it",
	"inspect": "\"berth ps --format json\" and \"berth hosts --format json\" print much, and \"docker inspect\" on a task's host all",
	"compose": "leave that word out, as in \"berth up -d\"",
}

// flagsElsewhere says the same of flags of Swarm's and of engines.
var flagsElsewhere = map[string]string{
	"reserve-cpu": reserveElsewhere, "reserve-memory": reserveElsewhere,
	"limit-cpu": limitElsewhere, "limit-memory": limitElsewhere,
	"constraint": constraintElsewhere, "constraint-add": constraintElsewhere,
	"placement-pref":        "preferences are in the compose file, deploy.placement.preferences",
	"replicas":              "\"berth up -d --scale web=3\" says how many, or deploy.replicas in the compose file",
	"replicas-max-per-node": "that is in the compose file, deploy.placement.max_replicas_per_node",
	"label-add":             labelsElsewhere,
	"availability":          drainElsewhere,
	"compose-file":          "files stand before the command, as in \"berth -f compose.yml up -d\"",
	"cluster-store":         storeElsewhere, "store": storeElsewhere,
	"cluster-advertise": "the address that other hosts reach a host at is its ip: in hosts.yml",
}

const (
	nodesElsewhere      = "\"berth hosts\" lists the hosts; their labels and availability are in hosts.yml"
	drainElsewhere      = "write availability: active, pause or drain into hosts.yml; \"berth rebalance\" then empties hosts that are to be drained"
	labelsElsewhere     = "labels of hosts are in hosts.yml, those of services in the compose file"
	stackElsewhere      = "\"berth up -d\" brings a project up, \"berth ls\" lists projects, \"berth down\" removes one"
	clusterElsewhere    = "the hosts in hosts.yml are the cluster, and the first \"berth up -d\" makes it"
	reserveElsewhere    = "reservations are in the compose file, deploy.resources.reservations"
	limitElsewhere      = "limits are in the compose file, deploy.resources.limits"
	constraintElsewhere = "constraints are in the compose file, deploy.placement.constraints"
	storeElsewhere      = "the store is in hosts.yml, as in store: consul://10.0.0.1:8500"
)

var unknownFlag = regexp.MustCompile(`^flag provided but not defined: -?-([^ =]+)`)

// flagElsewhere is where berth has the flag that an error of the flag library is about; "" when it is not known.
func flagElsewhere(err error) string {
	if m := unknownFlag.FindStringSubmatch(err.Error()); m != nil {
		return flagsElsewhere[m[1]]
	}
	return ""
}
