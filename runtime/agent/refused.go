package agent

import (
	"encoding/json"
	"errors"
	"os"

	"berth/runtime/identity"
	"berth/runtime/store"
)

// refusedSaid is what an agent says whose host was taken out of the cluster, once.
const refusedSaid = "this host was taken out of the cluster's inventory and is refused by its store: what runs here goes on, nothing is made any more; " +
	"to make it part of the cluster again, put it back into the inventory and run \"berth up\", else remove the container and the volume berth-agent here"

// refusesMe reports whether the store's view refuses this host itself: with the embedded store when its certificate is
// not of the admission that is good.
func (a *agent) refusesMe() bool {
	if a.view == nil {
		return false
	}
	good, refused := a.view.refused[a.config.Host]
	return refused && (good == "" || good != a.admission())
}

// admission is that of this host's certificate, "" without one.
func (a *agent) admission() string {
	if a.files.Cert == "" {
		return ""
	}
	pair, err := identity.Load(a.files.Cert, a.files.Key)
	if err != nil {
		return ""
	}
	cert, err := identity.Parse(pair.Cert)
	if err != nil {
		return ""
	}
	return cert.Subject.SerialNumber
}

// away is told why the store cannot be reached: it may be elsewhere, or refuse this host. nil says that it let this host in: who
// refused it before may have been a member that had not heard yet that the host is part of the cluster again. It is called by one
// goroutine at a time.
func (a *agent) away(err error) {
	refused := errors.Is(err, store.ErrRefused)
	if err != nil {
		a.member.settings.reread()
		if !refused {
			return
		}
	}
	select {
	case <-a.refusals: // the last word counts
	default:
	}
	a.refusals <- refused
}

// retire stops making things: names are no longer answered, since nobody says any more which of them are right.
func (a *agent) retire() {
	if a.retired {
		return
	}
	a.retired = true
	a.log.Error(refusedSaid)
	for name := range a.zones {
		a.names.RemoveZone(name)
		delete(a.zones, name)
	}
}

// knownRefusals are the hosts that were refused when an earlier agent last knew: the store's word comes only after its
// member has opened the door.
func (k *keeper) knownRefusals() map[string]string {
	refused := map[string]string{}
	if k.files.Refused == "" {
		return refused
	}
	b, err := os.ReadFile(k.files.Refused)
	if err == nil {
		err = json.Unmarshal(b, &refused)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		k.log.Error("refused hosts not read", "err", err)
	}
	return refused
}

// refuse keeps hosts out of the member; see identity.Gate.
func (k *keeper) refuse(hosts map[string]string) {
	if k.gate != nil {
		k.gate.Refuse(hosts)
	}
	if k.files.Refused == "" {
		return
	}
	b, err := json.Marshal(hosts)
	if err == nil {
		err = identity.Replace(k.files.Refused, b)
	}
	if err != nil {
		k.log.Error("refused hosts not kept", "err", err)
	}
}
