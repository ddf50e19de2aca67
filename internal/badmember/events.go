package badmember

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// event is the format of an event; its arguments are the type and the object.
const event = `{"type":"%s","object":%s}` + "\n"

const bookmark = `{"type":"BOOKMARK","object":{"kind":"Thing","apiVersion":"v1","metadata":{"resourceVersion":"7"}}}` + "\n"

// events sends endless objects.
func events(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for err := error(nil); err == nil; {
		_, err = fmt.Fprintf(w, `{"type":"ADDED","object":{"kind":"Thing","apiVersion":"v1","metadata":{"name":"n%d","namespace":"default","uid":"u%[1]d","resourceVersion":"1"}}}`+"\n", s.next.Add(1))
	}
}

// largeEvents sends endless objects of a megabyte.
func largeEvents(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	text := strings.Repeat("x", 1<<20)
	for err := error(nil); err == nil; {
		_, err = fmt.Fprintf(w, `{"type":"ADDED","object":{"kind":"Thing","apiVersion":"v1","metadata":{"name":"n%d","namespace":"default","uid":"u%[1]d","resourceVersion":"1"},"a":"%s"}}`+"\n", s.next.Add(1), text)
	}
}

// oneLargeEvent sends a list of one object of the maximum size, and then nothing.
func oneLargeEvent(s *Server, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, event+event, "ADDED", fmt.Sprintf(`{"kind":"Thing","apiVersion":"v1","metadata":{"name":"n%d","namespace":"default","uid":"u%[1]d","resourceVersion":"1"},"a":"%s"}`,
		s.next.Add(1), strings.Repeat("x", 39<<20/10)), "BOOKMARK", `{"kind":"Thing","apiVersion":"v1","metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}`)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// sameEvent sends one object that changes endlessly.
func sameEvent(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, err := fmt.Fprintf(w, event, "ADDED", numbered(0))
	_, _ = io.WriteString(w, `{"type":"BOOKMARK","object":{"kind":"Thing","apiVersion":"v1","metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}`+"\n")
	for err == nil {
		_, err = fmt.Fprintf(w, `{"type":"MODIFIED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"n0","namespace":"default","uid":"u0","resourceVersion":"%d"}}}`+"\n", 1000+s.next.Add(1))
	}
}

// shortWatch sends a list, and ends.
func shortWatch(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	n := s.next.Add(1)
	_, _ = fmt.Fprintf(w, event+event, "ADDED", numbered(n), "BOOKMARK",
		fmt.Sprintf(`{"kind":"Thing","apiVersion":"v1","metadata":{"resourceVersion":"%d","annotations":{"k8s.io/initial-events-end":"true"}}}`, n))
}

// older sends an object whose versions decrease.
func older(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for err := error(nil); err == nil; {
		_, err = fmt.Fprintf(w, event, "ADDED", fmt.Sprintf(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"n0","namespace":"default","uid":"u0","resourceVersion":"%d"}}`, 1<<40-s.next.Add(1)))
	}
}

// errorEvents ends every watch with a long failure.
func errorEvents(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, event, "ERROR", `{"kind":"Status","apiVersion":"v1","status":"Failure","code":410,"reason":"Expired","message":"`+
		strings.Repeat("token=x https://a:b@c/ ", 3<<20/23)+`"}`)
}

// deep sends valid JSON that is nested a hundred thousand levels deep.
func deep(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	const depth = 100_000
	_, _ = fmt.Fprintf(w, event, "ADDED", `{"kind":"Thing","apiVersion":"v1","metadata":{"name":"n"},"a":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+"}")
}

func numbers(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, event, "ADDED", `{"kind":"Thing","apiVersion":"v1","metadata":{"name":"n","generation":1e400},"spec":{"replicas":`+strings.Repeat("9", 3<<20)+"}}")
}

func duplicates(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, event, "ADDED", `{"kind":"Thing","apiVersion":"v1","metadata":{"name":"n"}`+strings.Repeat(`,"metadata":{"name":"m"}`, 80_000)+"}")
}

// oddNames sends names that fool a terminal, in every watch.
func oddNames(s *Server, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	const odd = `a\u001b[31m\u202e\nfedsync: all is well\u0000<script>`
	_, _ = fmt.Fprintf(w, event, "ADDED", fmt.Sprintf(`{"kind":"%[1]s","apiVersion":"%[1]s/v1","metadata":{"name":"%[1]s","namespace":"%[1]s","uid":"u","resourceVersion":"1",`+
		`"labels":{"applyset.kubernetes.io/part-of":"%[1]s"},"ownerReferences":[{"kind":"%[1]s","name":"%[1]s","uid":"u","controller":true}]},`+
		`"spec":{"type":"NodePort","replicas":-1,"ports":[{"name":"%[1]s","port":-1,"nodePort":99999999}]},"status":{"conditions":[{"type":"%[1]s","reason":"%[1]s","message":"%[1]s"}]}}`, odd))
	_ = s
	<-r.Context().Done()
}

// flapping sends workloads of ours that become ready and unready as fast as they can be
// read.
func flapping(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	object := s.object("/apis/apps/v1/namespaces/default/replicasets/web")
	meta, _ := object["metadata"].(map[string]any)
	status, _ := object["status"].(map[string]any)
	for i := 0; meta != nil && status != nil; i++ {
		meta["resourceVersion"] = fmt.Sprint(1_000_000 + s.next.Add(1))
		status["readyReplicas"], status["availableReplicas"] = i%2*2, i%2*2
		text, _ := json.Marshal(object) // it was JSON before
		if _, err := fmt.Fprintf(w, event, "MODIFIED", text); err != nil {
			return
		}
		if i == 0 {
			_, _ = fmt.Fprintf(w, event, "BOOKMARK", `{"kind":"ReplicaSet","apiVersion":"apps/v1","metadata":{"resourceVersion":"1000000","annotations":{"k8s.io/initial-events-end":"true"}}}`)
		}
	}
}

// inventories sends forged inventories, each of the maximum size of an object.
func inventories(_ *Server, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	text := strings.Repeat("apps/v1/ReplicaSet/default/web,", 1<<20/31)
	for i := range 100 {
		_, _ = fmt.Fprintf(w, event, "ADDED", fmt.Sprintf(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"i%d","namespace":"fedsync-system","uid":"u%[1]d","resourceVersion":"1",`+
			`"labels":{"applyset.kubernetes.io/id":"applyset-%[1]d-v1"},"annotations":{"applyset.kubernetes.io/contains-group-kinds":%[2]q}},"data":{"objects":%[2]q}}`, i, text))
	}
	<-r.Context().Done()
}

// leases sends leases with invalid or distant times.
func leases(s *Server, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, name, _ := strings.Cut(r.URL.Query().Get("fieldSelector"), "=")
	times := []string{"9999-12-31T23:59:59.999999Z", "0000-00-00T00:00:00Z", "-1", "2026-01-01T00:00:00.000000Z", strings.Repeat("9", 1000)}
	for i := 0; ; i++ {
		_, err := fmt.Fprintf(w, event, "MODIFIED", fmt.Sprintf(`{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":%q,"namespace":"fedsync-system","uid":"u","resourceVersion":"%d"},`+
			`"spec":{"holderIdentity":"h%[2]d","leaseDurationSeconds":%[3]d,"leaseTransitions":-1,"renewTime":%[4]q,"acquireTime":%[4]q}}`, name, s.next.Add(1), i*1_000_000_000, times[i%len(times)]))
		if err != nil {
			return
		}
		if i == 0 {
			_, _ = fmt.Fprintf(w, event, "BOOKMARK", `{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"resourceVersion":"1","annotations":{"k8s.io/initial-events-end":"true"}}}`)
		}
	}
}

// slow sends one byte per second.
func slow(_ *Server, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	out := http.NewResponseController(w)
	for {
		if _, err := io.WriteString(w, "{"); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}
