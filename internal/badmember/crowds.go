package badmember

import (
	"fmt"
	"net/http"
)

// crowdModes returns modes with the maximum number of objects, each of one kind, that
// change as fast as they are read.
func crowdModes() []Mode {
	crowd := func(resource, kind, version, format string) Mode {
		return Mode{Name: "many " + resource, Long: true, answer: func(s *Server, w http.ResponseWriter, r *http.Request) bool {
			if !isWatchOf(resource)(r) || r.URL.Query().Get("fieldSelector") != "" && resource != "pods" {
				return false
			}
			s.crowd(w, kind, version, format)
			return true
		}}
	}
	return []Mode{
		crowd("nodes", "Node", "v1", `"status":{"capacity":{"cpu":"%[1]d"},"conditions":[{"type":"Ready","status":"%[2]s"}]}`),
		crowd("services", "Service", "v1", `"spec":{"type":"NodePort","ports":[{"name":"p","port":80,"nodePort":%[1]d}]},"status":{"x":"%[2]s"}`),
		crowd("pods", "Pod", "v1", `"spec":{},"status":{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"%[2]s"}]}`),
		crowd("namespaces", "Namespace", "v1", `"status":{"phase":"%[2]s","x":%[1]d}`),
		crowd("resourcequotas", "ResourceQuota", "v1", `"spec":{"hard":{"pods":"%[1]d"}},"status":{"used":{"pods":"%[2]s"}}`),
		crowd("ingresses", "Ingress", "networking.k8s.io/v1", `"spec":{"ingressClassName":"%[2]s","tls":[{"secretName":"s%[1]d"}]}`),
		crowd("replicasets", "ReplicaSet", "apps/v1", `"spec":{"replicas":%[1]d},"status":{"readyReplicas":%[1]d,"x":"%[2]s"}`),
		crowd("configmaps", "ConfigMap", "v1", `"data":{"a":"%[1]d","b":"%[2]s"}`),
	}
}

// crowd shows as many objects as a watch may have, and then changes them. They have our
// labels, and each has its own zone and ReplicaSet.
func (s *Server) crowd(w http.ResponseWriter, kind, version, format string) {
	w.Header().Set("Content-Type", "application/json")
	own := s.object("/apis/apps/v1/namespaces/default/replicasets/web")
	meta, _ := own["metadata"].(map[string]any)
	labels, _ := meta["labels"].(map[string]any)
	const many = 90_000
	for i := 0; ; i++ {
		n := i % many
		_, err := fmt.Fprintf(w, `{"type":"ADDED","object":{"kind":%q,"apiVersion":%q,"metadata":{"name":"n%d","namespace":"default","uid":"u%[3]d","resourceVersion":"%d",`+
			`"labels":{"applyset.kubernetes.io/part-of":%[5]q,"topology.kubernetes.io/zone":"z%[3]d"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r%[3]d","uid":"r%[3]d","controller":%[6]v}]},%s}}`+"\n",
			kind, version, n, 1_000_000+s.next.Add(1), fmt.Sprint(labels["applyset.kubernetes.io/part-of"]), kind == "Pod", fmt.Sprintf(format, 30000+n%2767, fmt.Sprint("v", i)))
		if err != nil {
			return
		}
		if i == many {
			_, _ = fmt.Fprintf(w, event, "BOOKMARK", fmt.Sprintf(`{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"1000000","annotations":{"k8s.io/initial-events-end":"true"}}}`, kind, version))
		}
	}
}
