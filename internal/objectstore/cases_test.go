package objectstore_test

const (
	configMaps  = "/api/v1/namespaces/NS/configmaps"
	services    = "/api/v1/namespaces/NS/services"
	deployments = "/apis/apps/v1/namespaces/NS/deployments"
	replicaSets = "/apis/apps/v1/namespaces/NS/replicasets"
	ingresses   = "/apis/networking.k8s.io/v1/namespaces/NS/ingresses"
)

type conformance struct {
	name  string
	steps []step
}

const workload = `
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1.29
        env: [{name: MODE, value: plain}]
        ports: [{containerPort: 8080}]
        resources: {requests: {cpu: 1000m, memory: 0.5Gi}}
        readinessProbe: {httpGet: {port: 8080}}
`

var cases = []conformance{
	{"create and read", []step{
		{name: "create", method: "POST", path: configMaps, body: `{metadata: {name: a, labels: {x: "1"}}, data: {k: v}}`, save: "a"},
		{name: "create again", method: "POST", path: configMaps, body: `{metadata: {name: a}, data: {k: v}}`},
		{name: "get", method: "GET", path: configMaps + "/a", same: "a"},
		{name: "get a missing object", method: "GET", path: configMaps + "/b"},
		{name: "list by label", method: "GET", path: configMaps, query: "labelSelector=x%3D1"},
		{name: "list by field", method: "GET", path: configMaps, query: "fieldSelector=metadata.name%3Da"},
		{name: "list by an unknown field", method: "GET", path: configMaps, query: "fieldSelector=data.k%3Da"},
		{name: "without a name", method: "POST", path: configMaps, body: `{data: {k: v}}`},
		{name: "with a bad name", method: "POST", path: configMaps, body: `{metadata: {name: A_b}}`},
		{name: "with a resourceVersion", method: "POST", path: configMaps, body: `{metadata: {name: c, resourceVersion: "7"}}`},
		{name: "of another kind", method: "POST", path: configMaps, body: `{apiVersion: v1, kind: Secret, metadata: {name: c}}`},
		{name: "unknown field, strict", method: "POST", path: configMaps, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, more: 1}`, query: "fieldValidation=Strict"},
		{name: "unknown kind", method: "GET", path: "/apis/nothing.example.com/v1/things"},
		{name: "secret", method: "POST", path: "/api/v1/namespaces/NS/secrets", body: `{metadata: {name: s}, stringData: {k: v}}`},
		{name: "list of one full page", method: "GET", path: "/api/v1/namespaces/NS/secrets", query: "limit=1"},
	}},
	{"apply", []step{
		{name: "creates", method: "apply", path: configMaps + "/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS, labels: {x: "1", y: "2"}}, data: {k: v, l: w}}`, save: "a"},
		{name: "again changes nothing", method: "apply", path: configMaps + "/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS, labels: {x: "1", y: "2"}}, data: {k: v, l: w}}`, same: "a"},
		{name: "kubectl edits", method: "merge", path: configMaps + "/a", as: "kubectl-edit", body: `{"data":{"k":"other","m":"added"}}`, save: "edited"},
		{name: "conflicts", method: "apply", path: configMaps + "/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS, labels: {x: "1", y: "2"}}, data: {k: v, l: w}}`},
		{name: "with force", method: "apply", path: configMaps + "/a", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS, labels: {x: "1", y: "2"}}, data: {k: v, l: w}}`},
		{name: "drops a field and a label", method: "apply", path: configMaps + "/a", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS, labels: {x: "1"}}, data: {k: v}}`},
		{name: "drops all", method: "apply", path: configMaps + "/a", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}}`},
		{name: "unknown field", method: "apply", path: configMaps + "/a", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, more: 1}`},
		{name: "without a manager", method: "apply", path: configMaps + "/b", query: "fieldManager=", as: "", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}`},
		{name: "with managed fields", method: "apply", path: configMaps + "/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, managedFields: [{manager: x}]}}`},
		{name: "of another version", method: "apply", path: configMaps + "/a", as: "fedsync", body: `{apiVersion: v2, kind: ConfigMap, metadata: {name: a}}`},
		{name: "of another name", method: "apply", path: configMaps + "/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}`},
		{name: "of another namespace", method: "apply", path: configMaps + "/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: default}}`},
	}},
	{"apply with preconditions", []step{
		{name: "uid of nothing", method: "apply", path: configMaps + "/a", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, uid: 11111111-2222-4333-8444-555555555555}}`},
		{name: "resourceVersion of nothing", method: "apply", path: configMaps + "/b", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: b, resourceVersion: "7"}}`},
		{name: "create", method: "apply", path: configMaps + "/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}`, save: "a"},
		{name: "its uid and resourceVersion", method: "apply", path: configMaps + "/a", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, uid: "{a.uid}", resourceVersion: "{a.rv}"}, data: {k: v}}`, same: "a"},
		{name: "another uid", method: "apply", path: configMaps + "/a", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, uid: 11111111-2222-4333-8444-555555555555}, data: {k: v}}`},
		{name: "another resourceVersion", method: "apply", path: configMaps + "/a", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, resourceVersion: "7"}, data: {k: v}}`},
		{name: "update of another resourceVersion", method: "PUT", path: configMaps + "/a", body: `{metadata: {name: a, resourceVersion: "7"}, data: {k: w}}`},
		{name: "update of another uid", method: "PUT", path: configMaps + "/a", body: `{metadata: {name: a, uid: 11111111-2222-4333-8444-555555555555}, data: {k: w}}`},
		{name: "update of nothing", method: "PUT", path: configMaps + "/zz", body: `{metadata: {name: zz}, data: {k: w}}`},
		{name: "update", method: "PUT", path: configMaps + "/a", body: `{metadata: {name: a}, data: {k: w}}`, save: "b"},
		{name: "update with the same", method: "PUT", path: configMaps + "/a", body: `{metadata: {name: a}, data: {k: w}}`, same: "b"},
		{name: "merge patch of another resourceVersion", method: "merge", path: configMaps + "/a", body: `{"metadata":{"resourceVersion":"7"},"data":{"k":"x"}}`},
		{name: "merge patch of another uid", method: "merge", path: configMaps + "/a", body: `{"metadata":{"uid":"11111111-2222-4333-8444-555555555555"},"data":{"k":"x"}}`},
	}},
	{"managed fields that were cleared", []step{
		{name: "create", method: "apply", path: configMaps + "/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {x: "1"}}, data: {k: v, l: w}}`},
		{name: "kubectl adds", method: "merge", path: configMaps + "/a", as: "kubectl-edit", body: `{"data":{"m":"added"}}`},
		{name: "a client clears them", method: "merge", path: configMaps + "/a", as: "kubectl-patch", body: `{"metadata":{"managedFields":[{}]}}`, save: "cleared"},
		{name: "apply", method: "apply", path: configMaps + "/a", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {x: "1"}}, data: {k: v}}`, save: "applied"},
		{name: "fedsync tidies, too late", method: "json", path: configMaps + "/a", as: "fedsync", body: `[{"op":"replace","path":"/metadata/managedFields","value":[{"manager":"fedsync","operation":"Apply","apiVersion":"v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:k":{},"f:l":{}}}}]},{"op":"replace","path":"/metadata/resourceVersion","value":"{cleared.rv}"}]`},
		{name: "fedsync tidies", method: "json", path: configMaps + "/a", as: "fedsync", body: `[{"op":"replace","path":"/metadata/managedFields","value":[{"manager":"fedsync","operation":"Apply","apiVersion":"v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:k":{},"f:l":{}},"f:metadata":{"f:labels":{"f:x":{}}}}}]},{"op":"replace","path":"/metadata/resourceVersion","value":"{applied.rv}"}]`},
		{name: "and drops its own fields", method: "apply", path: configMaps + "/a", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}`},
		{name: "json patch that fails", method: "json", path: configMaps + "/a", body: `[{"op":"test","path":"/data/k","value":"zz"}]`},
		{name: "json patch of nothing", method: "json", path: configMaps + "/zz", body: `[{"op":"add","path":"/data/k","value":"zz"}]`},
		{name: "immutable", method: "merge", path: configMaps + "/a", body: `{"immutable":true}`},
		{name: "is immutable", method: "apply", path: configMaps + "/a", as: "fedsync", force: true, body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: other}}`},
	}},
	{"ports of a service", []step{
		{name: "kubectl creates", method: "POST", path: services, body: `{metadata: {name: web, labels: {from: kubectl}}, spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: admin, port: 9000}]}}`},
		{name: "apply merges", method: "apply", path: services + "/web", as: "fedsync", force: true, body: `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8081}]}}`, save: "web"},
		{name: "apply again", method: "apply", path: services + "/web", as: "fedsync", force: true, body: `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8081}]}}`, same: "web"},
		{name: "kubectl changes the key of a port", method: "json", path: services + "/web", as: "kubectl-replace", body: `[{"op":"replace","path":"/spec/ports/0/port","value":83}]`},
		{name: "apply cannot merge", method: "apply", path: services + "/web", as: "fedsync", force: true, body: `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8081}]}}`},
		{name: "two equal ports", method: "POST", path: services, body: `{metadata: {name: two}, spec: {ports: [{name: a, port: 80}, {name: b, port: 80}]}}`},
		{name: "two equal names", method: "POST", path: services, body: `{metadata: {name: two}, spec: {ports: [{name: a, port: 80}, {name: a, port: 81}]}}`},
		{name: "no ports", method: "POST", path: services, body: `{metadata: {name: none}, spec: {}}`},
		{name: "headless", method: "apply", path: services + "/headless", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: headless}, spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}}`},
		{name: "strategic patch", method: "strategic", path: services + "/web", body: `{"spec":{"ports":[{"port":9000,"targetPort":9001}]}}`},
		{name: "another cluster IP", method: "merge", path: services + "/web", body: `{"spec":{"clusterIP":"10.0.0.77","clusterIPs":["10.0.0.77"]}}`, reads: true},
	}},
	{"node ports", []step{
		{name: "chosen", method: "apply", path: services + "/any", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: any}, spec: {type: NodePort, ports: [{name: http, port: 80}]}}`, save: "any"},
		{name: "kept", method: "apply", path: services + "/any", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: any}, spec: {type: NodePort, ports: [{name: http, port: 80}]}}`, same: "any"},
		{name: "taken", method: "apply", path: services + "/other", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: other}, spec: {type: NodePort, ports: [{name: http, port: 80, nodePort: {any.nodePort}}]}}`},
		{name: "out of range", method: "apply", path: services + "/other", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: other}, spec: {type: NodePort, ports: [{name: http, port: 80, nodePort: 8080}]}}`},
		{name: "of a ClusterIP", method: "apply", path: services + "/other", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: other}, spec: {ports: [{name: http, port: 80, nodePort: 30444}]}}`},
		{name: "another one", method: "apply", path: services + "/other", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: other}, spec: {type: NodePort, ports: [{name: http, port: 80}]}}`},
		{name: "moves to one that is taken", method: "apply", path: services + "/other", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: other}, spec: {type: NodePort, ports: [{name: http, port: 80, nodePort: {any.nodePort}}]}}`},
		{name: "twice in an update", method: "apply", path: services + "/any", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: any}, spec: {type: NodePort, ports: [{name: http, port: 80, nodePort: {any.nodePort}}, {name: more, port: 81, nodePort: {any.nodePort}}]}}`},
		{name: "twice in a new one", method: "apply", path: services + "/both", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: both}, spec: {type: NodePort, ports: [{name: http, port: 80, nodePort: 30447}, {name: more, port: 81, nodePort: 30447}]}}`},
		{name: "no longer", method: "apply", path: services + "/any", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: any}, spec: {type: ClusterIP, ports: [{name: http, port: 80}]}}`},
		{name: "free again", method: "apply", path: services + "/other", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: other}, spec: {type: NodePort, ports: [{name: http, port: 80, nodePort: {any.nodePort}}]}}`},
		{name: "load balancer", method: "apply", path: services + "/lb", as: "fedsync", body: `{apiVersion: v1, kind: Service, metadata: {name: lb}, spec: {type: LoadBalancer, ports: [{name: http, port: 80}]}}`},
	}},
	{"workloads", []step{
		{name: "kubectl creates a Deployment", method: "POST", path: deployments, body: `{apiVersion: apps/v1, kind: Deployment, metadata: {name: made}, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: nginx}]}}}}`},
		{name: "apply creates a ReplicaSet", method: "apply", path: replicaSets + "/web", as: "fedsync", body: "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\nspec:" + workload},
		{name: "apply again", method: "apply", path: replicaSets + "/web", as: "fedsync", body: "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\nspec:" + workload},
		{name: "scale by patch", method: "merge", path: replicaSets + "/web/scale", as: "kubectl", body: `{"spec":{"replicas":5}}`},
		{name: "the result of the scale", method: "GET", path: replicaSets + "/web"},
		{name: "conflicts", method: "apply", path: replicaSets + "/web", as: "fedsync", body: "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\nspec:" + workload},
		{name: "force", method: "apply", path: replicaSets + "/web", as: "fedsync", force: true, body: "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\nspec:" + workload},
		{name: "scale of nothing", method: "merge", path: replicaSets + "/zz/scale", as: "kubectl", body: `{"spec":{"replicas":5}}`},
		{name: "another selector", method: "apply", path: replicaSets + "/web", as: "fedsync", force: true, body: `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web}, spec: {selector: {matchLabels: {app: two}}, template: {metadata: {labels: {app: two}}, spec: {containers: [{name: web, image: nginx}]}}}}`},
		{name: "selector that does not match", method: "apply", path: replicaSets + "/bad", as: "fedsync", body: `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: bad}, spec: {selector: {matchLabels: {app: two}}, template: {metadata: {labels: {app: one}}, spec: {containers: [{name: web, image: nginx}]}}}}`},
		{name: "no replicas any more", method: "apply", path: replicaSets + "/web", as: "fedsync", body: `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "nginx:1.29"}]}}}}`},
		{name: "status by a controller", method: "merge", path: ingresses + "/i/status", as: "glbc", body: `{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.7"}]}}}`},
		{name: "ingress", method: "apply", path: ingresses + "/i", as: "fedsync", body: `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, annotations: {team: web}}, spec: {ingressClassName: none, defaultBackend: {service: {name: web, port: {number: 80}}}}}`},
		{name: "status by a controller, now", method: "merge", path: ingresses + "/i/status", as: "glbc", body: `{"metadata":{"annotations":{"more":"1"}},"spec":{"ingressClassName":"other"},"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.7"}]}}}`, save: "i"},
		{name: "apply leaves the status alone", method: "apply", path: ingresses + "/i", as: "fedsync", body: `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, annotations: {team: web}}, spec: {ingressClassName: none, defaultBackend: {service: {name: web, port: {number: 80}}}}}`, same: "i"},
		{name: "another backend", method: "apply", path: ingresses + "/i", as: "fedsync", body: `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, annotations: {team: web}}, spec: {ingressClassName: none, defaultBackend: {service: {name: other, port: {number: 80}}}}}`},
	}},
	{"deletion", []step{
		{name: "of nothing", method: "DELETE", path: configMaps + "/a"},
		{name: "create", method: "apply", path: configMaps + "/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}`, save: "a"},
		{name: "another uid", method: "DELETE", path: configMaps + "/a", body: `{"preconditions":{"uid":"11111111-2222-4333-8444-555555555555"}}`},
		{name: "another resourceVersion", method: "DELETE", path: configMaps + "/a", body: `{"preconditions":{"resourceVersion":"7"}}`},
		{name: "its uid and resourceVersion", method: "DELETE", path: configMaps + "/a", body: `{"propagationPolicy":"Background","preconditions":{"uid":"{a.uid}","resourceVersion":"{a.rv}"}}`},
		{name: "is gone", method: "GET", path: configMaps + "/a"},
		{name: "create with a finalizer", method: "apply", path: configMaps + "/b", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: b, finalizers: [example.com/hold]}, data: {k: v}}`, save: "b"},
		{name: "begins", method: "DELETE", path: configMaps + "/b", body: `{"propagationPolicy":"Background"}`, save: "begun"},
		{name: "begins again", method: "DELETE", path: configMaps + "/b", same: "begun"},
		{name: "apply meanwhile", method: "apply", path: configMaps + "/b", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: b, finalizers: [example.com/hold]}, data: {k: w}}`},
		{name: "a new finalizer meanwhile", method: "merge", path: configMaps + "/b", body: `{"metadata":{"finalizers":["example.com/hold","example.com/more"]}}`},
		{name: "create meanwhile", method: "POST", path: configMaps, body: `{metadata: {name: b}}`},
		{name: "ends", method: "merge", path: configMaps + "/b", body: `{"metadata":{"finalizers":null}}`},
		{name: "has ended", method: "GET", path: configMaps + "/b"},
		{name: "create another with a finalizer", method: "apply", path: ingresses + "/c", as: "fedsync", body: `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: c, finalizers: [example.com/hold]}, spec: {ingressClassName: none, defaultBackend: {service: {name: web, port: {number: 80}}}}}`},
		{name: "begins there", method: "DELETE", path: ingresses + "/c", body: `{"propagationPolicy":"Background"}`},
		{name: "ends there, by apply", method: "apply", path: ingresses + "/c", as: "fedsync", body: `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: c}, spec: {ingressClassName: none, defaultBackend: {service: {name: web, port: {number: 80}}}}}`},
		{name: "has ended there", method: "GET", path: ingresses + "/c"},
		{name: "create for the foreground", method: "apply", path: configMaps + "/d", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: d}, data: {k: v}}`},
		{name: "in the foreground", method: "DELETE", path: configMaps + "/d", body: `{"propagationPolicy":"Foreground"}`},
		{name: "foreground ends", method: "GET", path: configMaps + "/d", gone: true},
	}},
	{"namespaces", []step{
		{name: "missing, apply", method: "apply", path: "/api/v1/namespaces/NS-no/configmaps/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`},
		{name: "missing, create", method: "POST", path: "/api/v1/namespaces/NS-no/configmaps", body: `{metadata: {name: a}}`},
		{name: "missing, get", method: "GET", path: "/api/v1/namespaces/NS-no/configmaps/a"},
		{name: "missing, list", method: "GET", path: "/api/v1/namespaces/NS-no/configmaps"},
		{name: "create", method: "POST", path: "/api/v1/namespaces", as: "fedsync", body: `{metadata: {name: NS-a}}`},
		{name: "apply one", method: "apply", path: "/api/v1/namespaces/NS-b", as: "fedsync", body: `{apiVersion: v1, kind: Namespace, metadata: {name: NS-b, labels: {x: "1"}}}`, save: "b"},
		{name: "apply it again", method: "apply", path: "/api/v1/namespaces/NS-b", as: "fedsync", body: `{apiVersion: v1, kind: Namespace, metadata: {name: NS-b, labels: {x: "1"}}}`, same: "b"},
		{name: "remove that one", method: "DELETE", path: "/api/v1/namespaces/NS-b"},
		{name: "something that holds", method: "POST", path: "/api/v1/namespaces/NS-a/configmaps", body: `{metadata: {name: held, finalizers: [example.com/hold]}}`},
		{name: "delete", method: "DELETE", path: "/api/v1/namespaces/NS-a"},
		{name: "its content is being deleted", method: "GET", path: "/api/v1/namespaces/NS-a/configmaps/held", until: "deletionTimestamp"},
		{name: "terminating, apply", method: "apply", path: "/api/v1/namespaces/NS-a/configmaps/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`},
		{name: "terminating, create", method: "POST", path: "/api/v1/namespaces/NS-a/configmaps", body: `{metadata: {name: a}}`},
		{name: "create it again", method: "POST", path: "/api/v1/namespaces", body: `{metadata: {name: NS-a}}`},
		{name: "let go", method: "merge", path: "/api/v1/namespaces/NS-a/configmaps/held", body: `{"metadata":{"finalizers":null}}`},
		{name: "gone", method: "GET", path: "/api/v1/namespaces/NS-a", gone: true},
		{name: "gone, apply", method: "apply", path: "/api/v1/namespaces/NS-a/configmaps/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`},
	}},
	{"custom resources", []step{
		{name: "before", method: "GET", path: "/apis/NS.example.com/v1/namespaces/NS/carts"},
		{name: "definition", method: "apply", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/carts.NS.example.com", as: "fedsync", body: cartDefinition},
		{name: "established", method: "GET", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/carts.NS.example.com", until: `"Established"`, reads: true},
		{name: "served", method: "GET", path: "/apis/NS.example.com/v1/namespaces/NS/carts", until: `"items"`},
		{name: "definition as it is", method: "GET", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/carts.NS.example.com", save: "crd"},
		{name: "apply it again", method: "apply", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/carts.NS.example.com", as: "fedsync", body: cartDefinition, same: "crd"},
		{name: "cart", method: "apply", path: "/apis/NS.example.com/v1/namespaces/NS/carts/a", as: "fedsync", body: `{apiVersion: NS.example.com/v1, kind: Cart, metadata: {name: a, labels: {x: "1"}}, spec: {items: [{name: one, count: 1}], tags: [a, b]}}`, save: "a"},
		{name: "again", method: "apply", path: "/apis/NS.example.com/v1/namespaces/NS/carts/a", as: "fedsync", body: `{apiVersion: NS.example.com/v1, kind: Cart, metadata: {name: a, labels: {x: "1"}}, spec: {items: [{name: one, count: 1}], tags: [a, b]}}`, same: "a"},
		{name: "another manager", method: "apply", path: "/apis/NS.example.com/v1/namespaces/NS/carts/a", as: "other", body: `{apiVersion: NS.example.com/v1, kind: Cart, metadata: {name: a}, spec: {items: [{name: two, count: 2}]}}`},
		{name: "conflict", method: "apply", path: "/apis/NS.example.com/v1/namespaces/NS/carts/a", as: "other", body: `{apiVersion: NS.example.com/v1, kind: Cart, metadata: {name: a}, spec: {items: [{name: one, count: 2}]}}`},
		{name: "unknown field", method: "apply", path: "/apis/NS.example.com/v1/namespaces/NS/carts/a", as: "fedsync", body: `{apiVersion: NS.example.com/v1, kind: Cart, metadata: {name: a}, spec: {wheels: 4}}`},
		{name: "status", method: "merge", path: "/apis/NS.example.com/v1/namespaces/NS/carts/a/status", as: "cartd", body: `{"spec":{"tags":[]},"status":{"full":true}}`},
		{name: "create by kubectl", method: "POST", path: "/apis/NS.example.com/v1/namespaces/NS/carts", body: `{apiVersion: NS.example.com/v1, kind: Cart, metadata: {name: b}, spec: {tags: [c]}, status: {full: true}}`},
		{name: "update without a resourceVersion", method: "PUT", path: "/apis/NS.example.com/v1/namespaces/NS/carts/b", body: `{apiVersion: NS.example.com/v1, kind: Cart, metadata: {name: b}, spec: {tags: [d]}}`},
		{name: "watch from before the kind", method: "GET", path: "/apis/NS.example.com/v1/namespaces/NS/carts", query: "watch=1&resourceVersion=1&timeoutSeconds=1"},
		{name: "streamed list", method: "GET", path: "/apis/NS.example.com/v1/namespaces/NS/carts", query: "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"},
		{name: "delete the definition", method: "DELETE", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/carts.NS.example.com"},
		{name: "definition is gone", method: "GET", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/carts.NS.example.com", gone: true},
		{name: "kind is gone", method: "GET", path: "/apis/NS.example.com/v1/namespaces/NS/carts/a", gone: true},
	}},
	{"watches", []step{
		{name: "create", method: "apply", path: configMaps + "/a", as: "fedsync", body: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {ours: "1"}}, data: {k: v}}`, save: "a"},
		{name: "create another", method: "POST", path: configMaps, body: `{metadata: {name: b}, data: {k: v}}`, save: "b"},
		{name: "streamed list", method: "GET", path: configMaps, query: "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1&labelSelector=ours"},
		{name: "label goes", method: "merge", path: configMaps + "/a", body: `{"metadata":{"labels":{"ours":null}}}`},
		{name: "label comes", method: "merge", path: configMaps + "/b", body: `{"metadata":{"labels":{"ours":"2"}}}`},
		{name: "change", method: "merge", path: configMaps + "/b", body: `{"data":{"k":"w"}}`},
		{name: "delete", method: "DELETE", path: configMaps + "/b", reads: true},
		{name: "since then", method: "GET", path: configMaps, query: "watch=1&resourceVersion={b.rv}&timeoutSeconds=1&labelSelector=ours"},
		{name: "from now, with the existing objects", method: "GET", path: configMaps, query: "watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Da"},
		{name: "list of the future", method: "GET", path: configMaps, query: "resourceVersion=999999999&resourceVersionMatch=NotOlderThan"},
		{name: "streamed list of the future", method: "GET", path: configMaps, query: "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999999&allowWatchBookmarks=true&timeoutSeconds=5"},
		{name: "watch of the future", method: "GET", path: configMaps, query: "watch=1&resourceVersion=999999999&timeoutSeconds=1"},
		{name: "list from the cache", method: "GET", path: configMaps, query: "resourceVersion=0&labelSelector=ours"},
		{name: "watch of a kind that is not served", method: "GET", path: "/apis/nothing.example.com/v1/things", query: "watch=1"},
	}},
	{"leases", []step{
		{name: "create", method: "POST", path: "/apis/coordination.k8s.io/v1/namespaces/NS/leases", as: "fedsync", body: `{metadata: {name: claim}, spec: {holderIdentity: "1-a", leaseTransitions: 1}}`, save: "l"},
		{name: "create again", method: "POST", path: "/apis/coordination.k8s.io/v1/namespaces/NS/leases", as: "fedsync", body: `{metadata: {name: claim}, spec: {holderIdentity: "1-b", leaseTransitions: 1}}`},
		{name: "update", method: "PUT", path: "/apis/coordination.k8s.io/v1/namespaces/NS/leases/claim", as: "fedsync", body: `{metadata: {name: claim, resourceVersion: "{l.rv}"}, spec: {holderIdentity: "2-b", leaseTransitions: 2}}`},
		{name: "update too late", method: "PUT", path: "/apis/coordination.k8s.io/v1/namespaces/NS/leases/claim", as: "fedsync", body: `{metadata: {name: claim, resourceVersion: "{l.rv}"}, spec: {holderIdentity: "2-c", leaseTransitions: 2}}`},
	}},
}

const cartDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: carts.NS.example.com}
spec:
  group: NS.example.com
  scope: Namespaced
  names: {plural: carts, kind: Cart}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              tags: {type: array, items: {type: string}}
              items:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, count: {type: integer}}}
          status: {type: object, properties: {full: {type: boolean}}}
`
