package etcd

import "testing"

func TestOnlyServersWhoseWordAboutProgressHoldsAreWatchedInParts(t *testing.T) {
	for version, want := range map[string]bool{
		"3.4.23": false, "3.4.30": false, "3.4.31": true, "3.4.37": true, "3.5.0": false, "3.5.12": false, "3.5.13": true,
		"3.6.0": true, "3.7.3": true, "3.7.0-rc.1": true, "3.3.27": false, "2.3.8": false, "4.0.0": true, "": false, "unknown": false,
	} {
		if got := progressSince(version); got != want {
			t.Errorf("etcd %q: %t, want %t", version, got, want)
		}
	}
}
