package etcd_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"berth/runtime/store"
	"berth/runtime/store/embedded/embeddedtest"
	"berth/runtime/store/etcd"
)

// guard makes an etcd ask who comes: root, and a user with rights on berth/.
func guard(t *testing.T, cfg clientv3.Config, user string) {
	t.Helper()
	cfg.Logger = zap.NewNop()
	if cfg.TLS != nil {
		cfg.DialOptions = []grpc.DialOption{grpc.WithAuthority(cfg.TLS.ServerName)}
	}
	c, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := bound(t)
	_, err = c.UserAddWithOptions(ctx, user, "", &clientv3.UserAddOptions{NoPassword: true})
	_, err2 := c.RoleAdd(ctx, "berth")
	_, err3 := c.RoleGrantPermission(ctx, "berth", "berth/", clientv3.GetPrefixRangeEnd("berth/"), clientv3.PermissionType(clientv3.PermReadWrite))
	_, err4 := c.UserGrantRole(ctx, user, "berth")
	_, err5 := c.UserAdd(ctx, "root", "known-to-nobody")
	_, err6 := c.UserGrantRole(ctx, "root", "root")
	_, err7 := c.AuthEnable(ctx)
	if err := errors.Join(err, err2, err3, err4, err5, err6, err7); err != nil {
		t.Fatal(err)
	}
}

func TestAnEtcdThatAsksWhoComesSaysWhatToDo(t *testing.T) {
	t.Parallel()
	at := external(t)
	guard(t, clientv3.Config{Endpoints: []string{at}}, "berth")
	st, err := etcd.Open(t.Context(), etcd.Config{Endpoints: []string{at}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	const want = "it wants to know who asks; show it a certificate"
	if _, err := st.Get(bound(t), "berth/"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a read: %v", err)
	}
	if _, err := st.Commit(bound(t), store.Txn{Puts: []store.Put{{Key: "berth/a"}}}); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, store.ErrUncertain) {
		t.Errorf("a transaction: %v", err)
	}
}

func TestAnEtcdKnowsItsUserByTheCertificate(t *testing.T) {
	t.Parallel()
	c := embeddedtest.Start(t, 1)
	certificate, err := x509.ParseCertificate(c.TLS.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	guard(t, clientv3.Config{Endpoints: c.Endpoints(t), TLS: c.TLS}, certificate.Subject.CommonName)
	st, err := etcd.Open(t.Context(), etcd.Config{Endpoints: c.Endpoints(t), TLS: c.TLS})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	whole := st.Watch(bound(t), "berth/", 0)
	parts := st.(store.PartsWatcher).WatchParts(bound(t), []string{"berth/a", "berth/b"}, 0)
	lease, err := st.Lease(bound(t), 60)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := st.Commit(bound(t), store.Txn{Puts: []store.Put{{Key: "berth/a", Lease: lease.ID}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(bound(t), store.Txn{Compares: []store.Compare{{Key: "berth/a", Modified: rev}}}); err != nil {
		t.Errorf("a transaction that only compares: %v", err)
	}
	if err := lease.Revoke(bound(t)); err != nil {
		t.Error(err)
	}
	for what, w := range map[string]<-chan store.Batch{"watch": whole, "watch of parts": parts} {
		if b := <-w; b.Err != nil || b.Revision != rev {
			t.Errorf("%s: %+v, want revision %d", what, b, rev)
		}
		if b := <-w; b.Err != nil || len(b.Events) != 1 || !b.Events[0].Deleted {
			t.Errorf("%s: %+v, want the key deleted", what, b)
		}
	}
	if servers, err := st.(store.Reporter).Report(bound(t)); err != nil || len(servers) != 1 || servers[0].Problem != "" {
		t.Errorf("it tells of itself: %+v, %v", servers, err)
	}
	const want = "the user that our certificate names may not do that; grant it a role"
	if _, err := st.Get(bound(t), "other/"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a read of what it may not: %v", err)
	}
}
