package ledger

import (
	"encoding/json"
	"fmt"

	"berth/placement"
	"berth/runtime/store"
)

// View is the store's content, decoded.
type View struct {
	Revision  int64
	Allocated int64 // revision of the Allocation key; 0 when absent
	Epoch     Epoch // zero when absent
	Began     int64 // revision of the Epoch; 0 when absent
	Cluster   string
	Hosts     map[string]Host
	Alive     map[string]bool
	Networks  []placement.Network
	Revisions map[string]int64 // network → revision of its record's last change
	Ready     map[string]Ready // by "<network>/<host>"
	Endpoints []placement.Endpoint
	Guests    []placement.Endpoint // containers that are on networks by hand
	Ports     []placement.PortRecord
	Answers   map[string]Answers // by host
	Projects  map[string]*Project
	Objects   map[string]Object // by "<kind>/<name>"

	Encryption Encryption

	Members *Membership // of the embedded store; nil when it is not recorded
	Refused map[string]Refusal
}

// Project is what the store knows of one project beside its networks and endpoints.
type Project struct {
	Tasks map[placement.Task]placement.TaskRecord
	Pins  map[string]string
	Lock  *Lock
}

// Decode reads a snapshot of Root. Keys that this version does not know are left alone.
func Decode(s store.Snapshot) (*View, error) {
	v := &View{
		Revision: s.Revision, Revisions: map[string]int64{}, Hosts: map[string]Host{}, Alive: map[string]bool{}, Ready: map[string]Ready{},
		Projects: map[string]*Project{}, Objects: map[string]Object{}, Answers: map[string]Answers{}, Refused: map[string]Refusal{},
	}
	for _, p := range s.Pairs {
		if err := v.add(p); err != nil {
			return nil, fmt.Errorf("read the store: key %s: %w", p.Key, err)
		}
	}
	return v, nil
}

func (v *View) add(p store.Pair) error {
	if p.Key == Allocation {
		v.Allocated = p.Modified
		return nil
	}
	if p.Key == EpochKey {
		v.Began = p.Modified
		return json.Unmarshal(p.Value, &v.Epoch)
	}
	if p.Key == ClusterKey {
		v.Cluster = string(p.Value)
		return nil
	}
	if p.Key == EncryptionKey {
		return json.Unmarshal(p.Value, &v.Encryption)
	}
	if p.Key == MembersKey {
		v.Members = &Membership{}
		return json.Unmarshal(p.Value, v.Members)
	}
	if k := Split(p.Key, Refused); len(k) == 1 {
		var r Refusal
		err := json.Unmarshal(p.Value, &r)
		v.Refused[k[0]] = r
		return err
	}
	if k := Split(p.Key, Hosts); len(k) == 1 {
		var h Host
		err := json.Unmarshal(p.Value, &h)
		v.Hosts[k[0]] = h
		return err
	}
	if k := Split(p.Key, Alive); len(k) == 1 {
		v.Alive[k[0]] = true
		return nil
	}
	if k := Split(p.Key, Networks); len(k) == 1 {
		var n placement.Network
		err := json.Unmarshal(p.Value, &n)
		v.Networks = append(v.Networks, n)
		v.Revisions[n.Name] = p.Modified
		return err
	}
	if k := Split(p.Key, Readies); len(k) == 2 {
		var r Ready
		err := json.Unmarshal(p.Value, &r)
		v.Ready[k[0]+"/"+k[1]] = r
		return err
	}
	if k := Split(p.Key, Endpoints); len(k) == 2 {
		var e placement.Endpoint
		err := json.Unmarshal(p.Value, &e)
		v.Endpoints = append(v.Endpoints, e)
		return err
	}
	if k := Split(p.Key, Guests); len(k) == 3 {
		var e placement.Endpoint
		err := json.Unmarshal(p.Value, &e)
		v.Guests = append(v.Guests, e)
		return err
	}
	if k := Split(p.Key, Ports); len(k) == 1 {
		var r placement.PortRecord
		err := json.Unmarshal(p.Value, &r)
		v.Ports = append(v.Ports, r)
		return err
	}
	if k := Split(p.Key, Answering); len(k) == 1 {
		var a Answers
		err := json.Unmarshal(p.Value, &a)
		v.Answers[k[0]] = a
		return err
	}
	for kind, prefix := range map[string]string{Secret: Secrets, Config: Configs} {
		if k := Split(p.Key, prefix); len(k) == 1 {
			var o Object
			err := json.Unmarshal(p.Value, &o)
			v.Objects[kind+"/"+k[0]] = o
			return err
		}
	}
	if k := Split(p.Key, Projects); len(k) >= 2 {
		return v.addProject(k, p)
	}
	return nil
}

func (v *View) addProject(k []string, p store.Pair) error {
	pr := v.Projects[k[0]]
	if pr == nil {
		pr = &Project{Tasks: map[placement.Task]placement.TaskRecord{}, Pins: map[string]string{}}
		v.Projects[k[0]] = pr
	}
	switch {
	case len(k) == 2 && k[1] == "lock":
		pr.Lock = new(Lock)
		return json.Unmarshal(p.Value, pr.Lock)
	case len(k) == 3 && k[1] == "tasks":
		t, err := placement.ParseTask(k[2])
		if err != nil {
			return err
		}
		var r placement.TaskRecord
		err = json.Unmarshal(p.Value, &r)
		pr.Tasks[t] = r
		return err
	case len(k) == 3 && k[1] == "pins":
		var host string
		err := json.Unmarshal(p.Value, &host)
		pr.Pins[k[2]] = host
		return err
	}
	return nil
}
