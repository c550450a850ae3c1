package consul_test

import (
	"net"
	"testing"

	"berth/runtime/store/consul"
	"berth/runtime/store/consul/consultest"
)

func TestTheFakeTellsHowItsServersAre(t *testing.T) { checkReport(t, consultest.NewFake(t).Addr()) }

func TestConsulTellsHowItsServersAre(t *testing.T) { checkReport(t, consultest.StartReal(t).Addr()) }

func checkReport(t *testing.T, addr string) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	st := open(t, consul.Config{Servers: []string{addr, closed.Addr().String()}})
	defer st.Close()
	servers, err := st.Report(bound(t))
	if err != nil || len(servers) != 2 {
		t.Fatalf("%+v, %v", servers, err)
	}
	if s := servers[0]; s.Endpoint != addr || s.Role != "leader" || !s.Leader || s.Version == "" || s.Problem != "" {
		t.Errorf("the server tells %+v", s)
	}
	if s := servers[1]; s.Endpoint != closed.Addr().String() || s.Problem != "connection refused" || s.Role != "" {
		t.Errorf("where nobody listens: %+v", s)
	}
}
