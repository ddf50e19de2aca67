package history

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// maker makes the events of one history.
type maker struct {
	*rand.Rand
	Options
	edits map[string][]time.Duration // times of edits, by cluster and field
}

// Change is a change of an object by hand.
type Change struct {
	Resource string // a plural
	Name     string
	Patch    string // a JSON merge patch; empty for a deletion
	Scale    bool   // whether the patch is of the scale subresource
	field    string
}

// String returns "configmaps/web-0 data.k", or "" for no change.
func (c Change) String() string {
	if c.Resource == "" {
		return ""
	}
	return c.Resource + "/" + c.Name + " " + c.field
}

// If a field is edited by hand more often, a daemon reports a fight over it.
const (
	editsOfAField = 2
	editsWithin   = 5 * time.Minute
)

func (m *maker) event(at time.Duration) Event {
	switch n := m.IntN(10); {
	case n < 3:
		return m.push(at)
	case n < 6:
		if e, ok := m.edit(at); ok {
			return e
		}
		return m.push(at)
	case n < 7:
		return Event{At: at, Kind: Restore, Cluster: m.cluster(), Age: m.between(time.Second, m.Backup)}
	}
	e := Event{At: at, Kind: faults[m.IntN(len(faults))], Cluster: m.cluster(), For: m.between(time.Second, m.Fault)}
	switch e.Kind { //nolint:exhaustive // the others are about the whole cluster
	case Policy, Webhook, WebhookDown, WebhookHang, Quota, Forbidden, Hanging:
		e.Resource = []string{"configmaps", "services", "replicasets", "ingresses"}[m.IntN(4)]
	}
	return e
}

func (m *maker) cluster() string { return m.Clusters[m.IntN(len(m.Clusters))] }

func (m *maker) between(low, high time.Duration) time.Duration {
	return low + time.Duration(m.Int64N(int64((high-low)/time.Millisecond)))*time.Millisecond
}

// push makes a commit of two or three apps. The objects of an app differ from push to
// push, so that objects are created, changed, deleted and moved between apps.
func (m *maker) push(at time.Duration) Event {
	files := map[string]string{}
	shared := m.IntN(2) // the app that has the object named moves
	for i := range 2 + m.IntN(2) {
		app := appName(i)
		var docs []string
		for n := range 3 {
			if m.IntN(4) > 0 {
				docs = append(docs, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s-%d%s, labels: {step: s%d}}\ndata: {k: v%d, l: w%d}", app, n, m.namespace(), m.IntN(3), m.IntN(9), m.IntN(9)))
			}
		}
		if i == shared {
			docs = append(docs, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: moves%s}\ndata: {k: v%d}", m.namespace(), m.IntN(9)))
		}
		if m.IntN(4) > 0 {
			docs = append(docs, m.service(app, i), m.replicaSet(app))
		}
		if i == 0 {
			docs = append(docs, fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: %s%s, annotations: {step: s%d}}\nspec: {defaultBackend: {service: {name: %s, port: {number: 80}}}}", app, m.namespace(), m.IntN(5), app))
		}
		if len(docs) > 0 {
			files["apps/"+app+"/all.yaml"] = strings.Join(docs, "\n---\n") + "\n"
		}
	}
	return Event{At: at, Kind: Push, Files: files}
}

// namespace returns what follows the name in the metadata of a manifest.
func (m *maker) namespace() string {
	if m.Namespace == "" {
		return ""
	}
	return ", namespace: " + m.Namespace
}

// Apps lists the names of the apps that pushes may have, each in apps/NAME/all.yaml.
var Apps = []string{"web", "shop", "blog"}

func appName(i int) string { return Apps[i] }

func (m *maker) service(app string, i int) string {
	port := m.NodePort + i
	if m.IntN(3) == 0 {
		port = m.NodePort + (i+1)%2 // taken by another app's Service, unless that is swapped too
	}
	if m.IntN(3) > 0 {
		port = m.NodePort + i
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s%s}\nspec:\n  type: NodePort\n  selector: {app: %s}\n  ports: [{name: http, port: 80, targetPort: %d, nodePort: %d}]",
		app, m.namespace(), app, 8080+m.IntN(3), port)
}

func (m *maker) replicaSet(app string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: %s%s}
spec:
  replicas: %d
  selector: {matchLabels: {app: %s}}
  template:
    metadata: {labels: {app: %s}}
    spec: {containers: [{name: web, image: "nginx:1.%d"}]}`, app, m.namespace(), 1+m.IntN(6), app, app, m.IntN(3))
}

// edit changes a random field. It returns false if that field was edited too often
// recently.
func (m *maker) edit(at time.Duration) (Event, bool) {
	app := appName(m.IntN(2))
	c := []Change{
		{Resource: "configmaps", Name: fmt.Sprintf("%s-%d", app, m.IntN(3)), field: "data.k", Patch: `{"data":{"k":"by hand"}}`},
		{Resource: "configmaps", Name: fmt.Sprintf("%s-%d", app, m.IntN(3)), field: "deleted"},
		{Resource: "configmaps", Name: "moves", field: "data.more", Patch: `{"data":{"more":"by hand"}}`},
		{Resource: "configmaps", Name: "moves", field: "metadata.labels", Patch: `{"metadata":{"labels":{"applyset.kubernetes.io/part-of":null}}}`},
		{Resource: "configmaps", Name: "moves", field: "metadata.managedFields", Patch: `{"metadata":{"managedFields":[{}]}}`},
		{Resource: "services", Name: app, field: "spec.selector", Patch: `{"spec":{"selector":{"app":"other"}}}`},
		{Resource: "services", Name: app, field: "deleted"},
		{Resource: "replicasets", Name: app, field: "spec.replicas", Patch: `{"spec":{"replicas":9}}`, Scale: true},
		{Resource: "ingresses", Name: "web", field: "metadata.annotations.step", Patch: `{"metadata":{"annotations":{"step":"by hand"}}}`},
	}[m.IntN(9)]
	cluster := m.cluster()
	key := cluster + " " + c.String()
	recent := 0
	for _, before := range m.edits[key] {
		if at-before < editsWithin {
			recent++
		}
	}
	if recent >= editsOfAField {
		return Event{}, false
	}
	m.edits[key] = append(m.edits[key], at)
	return Event{At: at, Kind: Edit, Cluster: cluster, Change: c}, true
}
