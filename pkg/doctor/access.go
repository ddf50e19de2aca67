package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/access"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/wire"
)

// What fedsync does with every object of the repository, in addition to deleting those of
// apps that prune. It watches kinds in all namespaces.
var (
	objectVerbs = []string{"get", "create", "patch"}
	kindVerbs   = []string{"list", "watch"}
)

// ownAccess returns the rights that fedsync itself needs: for its claim, without which it
// writes nothing, for its inventory, for what adoption overwrites, for the ports in use, and
// for the namespaces and kinds that objects wait for. It creates namespaces if the settings
// say so, and its own namespace if it is missing.
func ownAccess(plan federation.ClusterPlan, hasNamespace bool) []access.Right {
	all := slices.Concat(
		rights(claim.Resource.GroupResource(), claim.Namespace, "get", "list", "watch", "create", "update"),
		rights(schema.GroupResource{Resource: "configmaps"}, federation.SystemNamespace, "get", "list", "watch", "create", "patch", "delete"),
		rights(schema.GroupResource{Resource: "services"}, "", kindVerbs...),
		clusterRights(schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}, kindVerbs...),
	)
	adopts := func(app federation.AppPlan) bool { return app.Adoption != federation.AdoptNever }
	if slices.ContainsFunc(plan.Apps, adopts) {
		all = append(all, rights(schema.GroupResource{Resource: "secrets"}, federation.SystemNamespace, "create", "get", "list", "delete")...)
	}
	namespaces := schema.GroupResource{Resource: "namespaces"}
	verbs := kindVerbs
	switch {
	case plan.CreateNamespaces:
		verbs = slices.Concat(verbs, []string{"get", "create"})
	case !hasNamespace:
		verbs = slices.Concat(verbs, []string{"create"})
	}
	if !plan.CreateNamespaces {
		all = append(all, namedRights(namespaces, metav1.NamespaceSystem, "get")...)
	}
	return append(all, clusterRights(namespaces, verbs...)...)
}

func rights(resource schema.GroupResource, namespace string, verbs ...string) []access.Right {
	all := make([]access.Right, len(verbs))
	for i, verb := range verbs {
		all[i] = access.Right{Verb: verb, Resource: resource, Namespace: namespace}
	}
	return all
}

// namedRights returns rights on one cluster-scoped object.
func namedRights(resource schema.GroupResource, name string, verbs ...string) []access.Right {
	all := clusterRights(resource, verbs...)
	for i := range all {
		all[i].Name = name
	}
	return all
}

func clusterRights(resource schema.GroupResource, verbs ...string) []access.Right {
	all := rights(resource, "", verbs...)
	for i := range all {
		all[i].Cluster = true
	}
	return all
}

// permissions asks every cluster that answers what the credentials allow there.
func (e *Examination) permissions(ctx context.Context, cfg *config.Config, timeout time.Duration) error {
	var (
		mu    sync.Mutex // protects e
		calls sync.WaitGroup
	)
	for _, plan := range e.Plan.Clusters {
		i := slices.IndexFunc(e.Federation.Clusters, func(c federation.Cluster) bool { return c.Name == plan.Cluster })
		if i < 0 || e.Comparison.Facts.Of(plan.Cluster).State != federation.ClusterReady {
			continue
		}
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			p, err := askPermissions(ctx, cfg, e.kubeconfig, e.Federation.Clusters[i], plan)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				e.find(federation.Finding{
					ID: federation.FindingPermission, Severity: federation.SeverityWarning, Cluster: plan.Cluster,
					Message: untrusted.New("cannot determine what the credentials allow: " + untrusted.Line(err.Error())),
				})
				return
			}
			e.Permitted++
			// The missing role explains the findings on single objects.
			e.Findings = slices.DeleteFunc(e.Findings, p.explains)
			e.find(p.findings...)
		})
	}
	calls.Wait()
	return ctx.Err()
}

// permissions are what a cluster denies.
type permissions struct {
	cluster  string
	findings []federation.Finding
	denied   map[schema.GroupResource]bool
	kinds    map[schema.GroupKind]schema.GroupResource
}

// explains reports whether a finding is about a denied right.
func (p *permissions) explains(f federation.Finding) bool {
	if f.ID != federation.FindingPermission || f.Cluster != p.cluster {
		return false
	}
	// The finding on a refused watch names the resource, not the kind.
	return p.denied[p.kinds[f.Object.GroupKind()]] || p.denied[schema.GroupResource{Group: f.Object.Group, Resource: f.Object.Kind}]
}

func askPermissions(ctx context.Context, cfg *config.Config, kube *config.Kubeconfig, c federation.Cluster, plan federation.ClusterPlan) (*permissions, error) {
	client, err := wire.NewClient(cfg, kube, c.Context, "", nil)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	p := &permissions{cluster: c.Name, denied: map[schema.GroupResource]bool{}, kinds: map[schema.GroupKind]schema.GroupResource{}}
	_, err = client.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("namespaces")).Get(ctx, federation.SystemNamespace, metav1.GetOptions{})
	questions, err := p.questions(client.Kinds, plan, !apierrors.IsNotFound(err)) // if it may not be read, it may exist
	if err != nil {
		return nil, err
	}
	denied, err := access.Ask(ctx, client.Dynamic, questions, cfg.Concurrency)
	if err != nil || len(denied) == 0 {
		return p, err
	}
	user, err := access.User(ctx, client.Dynamic)
	if err != nil {
		user = "USER" // the cluster is older than Kubernetes 1.28
	}
	for _, a := range denied {
		if a.Subresource == "" {
			p.denied[a.Resource] = true
		}
	}
	p.findings = access.Findings(c.Name, c.Context, user, denied)
	return p, nil
}

// questions returns the rights that the plan and fedsync itself need in a cluster, without
// duplicates. It omits kinds that the cluster does not know: apply reports those.
func (p *permissions) questions(mapper meta.RESTMapper, plan federation.ClusterPlan, hasNamespace bool) ([]access.Right, error) {
	all := ownAccess(plan, hasNamespace)
	p.kinds[schema.GroupKind{Kind: "Namespace"}] = schema.GroupResource{Resource: "namespaces"}
	for _, app := range plan.Apps {
		asked, err := p.ofApp(mapper, app)
		if err != nil {
			return nil, err
		}
		all = append(all, asked...)
	}
	return unique(all), nil
}

func (p *permissions) ofApp(mapper meta.RESTMapper, app federation.AppPlan) ([]access.Right, error) {
	verbs := objectVerbs
	if app.Prune != federation.PruneOff {
		verbs = slices.Concat(verbs, []string{"delete"})
	}
	var refs []federation.ObjectRef
	var all []access.Right
	for _, o := range app.Objects {
		refs = append(refs, o.Ref)
		if showsAddress(o) {
			all = append(all, access.Right{
				Verb: "patch", Resource: schema.GroupResource{Group: o.Ref.Group, Resource: "ingresses"}, Subresource: "status", Namespace: o.Ref.Namespace,
			})
		}
	}
	for _, w := range app.Withheld {
		refs = append(refs, w.Object)
	}
	for _, ref := range refs {
		gk := ref.GroupKind()
		mapping, err := mapper.RESTMapping(gk)
		switch {
		case meta.IsNoMatchError(err):
			continue
		case err != nil:
			return nil, fmt.Errorf("find out how %s is served: %w", gk, err)
		}
		resource := mapping.Resource.GroupResource()
		p.kinds[gk] = resource
		if mapping.Scope.Name() == meta.RESTScopeNameRoot {
			all = append(all, clusterRights(resource, slices.Concat(verbs, kindVerbs)...)...)
			continue
		}
		all = append(all, rights(resource, ref.Namespace, verbs...)...)
		all = append(all, rights(resource, "", kindVerbs...)...)
	}
	return all, nil
}

// showsAddress reports whether the status of an object is to show the address of one of
// fedsync's load balancers.
func showsAddress(o *federation.Object) bool {
	if o.Ref.Group != "networking.k8s.io" || o.Ref.Kind != "Ingress" {
		return false
	}
	var content struct {
		Spec struct {
			ClassName string `json:"ingressClassName"`
		} `json:"spec"`
	}
	return json.Unmarshal(o.JSON, &content) == nil && content.Spec.ClassName == federation.ClassGlobal
}

// unique removes duplicates, and sorts rights that belong together next to each other.
func unique(all []access.Right) []access.Right {
	var out []access.Right
	seen := map[access.Right]bool{}
	for _, a := range all {
		if !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b access.Right) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.What(), b.What()))
	})
	return out
}
