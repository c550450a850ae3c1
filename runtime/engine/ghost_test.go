package engine

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// ghostly is an engine that keeps an endpoint of a container that is gone, as 20.10 does after a mass removal.
type ghostly struct {
	mu       sync.Mutex
	endpoint string // name; "" when let go of
	shown    bool   // in inspect
	named    bool   // in the refusal, as engines from 25 on do
	fades    int    // attempts after which the endpoint goes by itself; 0 never
	tries    int
	forced   []string
}

func (g *ghostly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/_ping"):
	case r.Method == http.MethodDelete:
		if g.tries++; g.tries == g.fades {
			g.endpoint = ""
		}
		if g.endpoint == "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		message := "error while removing network: network shop_default id 0123 has active endpoints"
		if g.named {
			message += ` (name:\"` + g.endpoint + `\" id:\"abc\")`
		}
		io.WriteString(w, `{"message":"`+message+`"}`)
	case strings.HasSuffix(r.URL.Path, "/disconnect"):
		body, _ := io.ReadAll(r.Body)
		g.forced = append(g.forced, string(body))
		if strings.Contains(string(body), `"Container":"`+g.endpoint+`"`) && strings.Contains(string(body), `"Force":true`) {
			g.endpoint = ""
		}
	default:
		shown := ""
		if g.shown && g.endpoint != "" {
			shown = `"ep-abc":{"Name":"` + g.endpoint + `"}`
		}
		io.WriteString(w, `{"Name":"shop_default","Id":"0123","Containers":{`+shown+`}}`)
	}
}

func TestAGhostEndpointIsWaitedForThenCutOffThenToldOf(t *testing.T) {
	for _, c := range []struct {
		name   string
		ghost  *ghostly
		forced int
		err    string
	}{
		{"goes by itself", &ghostly{endpoint: "shop-web-1", fades: 3}, 0, ""},
		{"shown without a container", &ghostly{endpoint: "shop-web-1", shown: true}, 1, ""},
		{"named by the refusal only", &ghostly{endpoint: "shop-web-1", named: true}, 1, ""},
		{"not shown at all", &ghostly{endpoint: "shop-web-1"}, 0, "restart the engine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(c.ghost)
			defer srv.Close()
			e, err := Connect(hostAt(strings.Replace(srv.URL, "http", "tcp", 1)))
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			err = e.RemoveNetwork(t.Context(), "shop_default")
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if err != nil && IsInUse(err) {
				t.Error("nobody uses it")
			}
			if len(c.ghost.forced) != c.forced {
				t.Errorf("forced %v", c.ghost.forced)
			}
		})
	}
}
