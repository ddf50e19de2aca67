package objectstore

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// Version is the version of Kubernetes that stores report.
const Version = "v1.37.2"

// aggregated is the content type of discovery in one document for all groups.
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// serveFixed answers requests for paths that are not resources.
func (s *Store) serveFixed(r *Request) *http.Response {
	path := strings.TrimSuffix(r.HTTP.URL.Path, "/")
	switch path {
	case "/readyz", "/livez", "/healthz":
		return answered(http.StatusOK, "text/plain; charset=utf-8", []byte("ok"))
	case "/version":
		return document(version.Info{Major: "1", Minor: "37", GitVersion: Version, GitTreeState: "clean", Platform: "linux/amd64"})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	groups := s.groups()
	core := groups[0].name == ""
	inOne := strings.Contains(r.HTTP.Header.Get("Accept"), "as=APIGroupDiscoveryList")
	switch {
	case path == "/api" && inOne:
		return discovered(groups[:1])
	case path == "/apis" && inOne:
		return discovered(groups[1:])
	case path == "/api" && core:
		return document(metav1.APIVersions{
			TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"},
			ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{},
		})
	case path == "/apis":
		list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroupList"}}
		for _, g := range groups[1:] {
			list.Groups = append(list.Groups, g.describe())
		}
		return document(list)
	}
	for _, g := range groups {
		for _, v := range g.versions {
			gv := schema.GroupVersion{Group: g.name, Version: v.name}
			if path == "/apis/"+gv.String() && g.name != "" || path == "/api/v1" && g.name == "" {
				return document(v.describe(gv))
			}
		}
		if g.name != "" && path == "/apis/"+g.name {
			group := g.describe()
			group.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroup"}
			return document(group)
		}
	}
	return failed(errNoSuchPath)
}

func document(o any) *http.Response {
	body, err := json.Marshal(o)
	if err != nil {
		return failed(err)
	}
	return answered(http.StatusOK, "application/json", body)
}

type group struct {
	name     string
	versions []groupVersion
}

type groupVersion struct {
	name  string
	kinds []*kind
}

// groups returns the served groups in the order of discovery, the core group first.
func (s *Store) groups() []group {
	byVersion := map[schema.GroupVersion][]*kind{}
	for _, k := range s.kinds() {
		byVersion[k.gvk.GroupVersion()] = append(byVersion[k.gvk.GroupVersion()], k)
	}
	byName := map[string]group{}
	for gv, kinds := range byVersion {
		slices.SortFunc(kinds, func(a, b *kind) int { return strings.Compare(a.resource, b.resource) })
		g := byName[gv.Group]
		g.name = gv.Group
		g.versions = append(g.versions, groupVersion{name: gv.Version, kinds: kinds})
		byName[gv.Group] = g
	}
	var out []group
	for _, g := range byName {
		slices.SortFunc(g.versions, func(a, b groupVersion) int { return strings.Compare(b.name, a.name) })
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b group) int { return strings.Compare(a.name, b.name) })
	return out
}

var allVerbs = metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

func (g group) describe() metav1.APIGroup {
	out := metav1.APIGroup{Name: g.name}
	for _, v := range g.versions {
		out.Versions = append(out.Versions, metav1.GroupVersionForDiscovery{
			GroupVersion: schema.GroupVersion{Group: g.name, Version: v.name}.String(), Version: v.name,
		})
	}
	out.PreferredVersion = out.Versions[0]
	return out
}

func (v groupVersion) describe(gv schema.GroupVersion) metav1.APIResourceList {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: gv.String()}
	for _, k := range v.kinds {
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: k.resource, SingularName: k.singular, Namespaced: k.namespaced, Kind: k.gvk.Kind, Verbs: allVerbs, ShortNames: k.short,
		})
		for _, sub := range k.subresources() {
			list.APIResources = append(list.APIResources, metav1.APIResource{
				Name: k.resource + "/" + sub.Subresource, Namespaced: k.namespaced, Kind: sub.ResponseKind.Kind,
				Group: sub.ResponseKind.Group, Version: sub.ResponseKind.Version, Verbs: sub.Verbs,
			})
		}
	}
	return list
}

func (k *kind) subresources() []apidiscoveryv2.APISubresourceDiscovery {
	var out []apidiscoveryv2.APISubresourceDiscovery
	verbs := []string{"get", "patch", "update"}
	if k.scale {
		out = append(out, apidiscoveryv2.APISubresourceDiscovery{
			Subresource: "scale", Verbs: verbs, ResponseKind: &metav1.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"},
		})
	}
	if k.status {
		own := metav1.GroupVersionKind(k.gvk)
		out = append(out, apidiscoveryv2.APISubresourceDiscovery{Subresource: "status", Verbs: verbs, ResponseKind: &own})
	}
	return out
}

// discovered describes groups in one document.
func discovered(groups []group) *http.Response {
	list := apidiscoveryv2.APIGroupDiscoveryList{TypeMeta: metav1.TypeMeta{APIVersion: "apidiscovery.k8s.io/v2", Kind: "APIGroupDiscoveryList"}}
	for _, g := range groups {
		item := apidiscoveryv2.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: g.name}}
		for _, v := range g.versions {
			found := apidiscoveryv2.APIVersionDiscovery{Version: v.name, Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent}
			for _, k := range v.kinds {
				scope := apidiscoveryv2.ScopeCluster
				if k.namespaced {
					scope = apidiscoveryv2.ScopeNamespace
				}
				own := metav1.GroupVersionKind(k.gvk)
				found.Resources = append(found.Resources, apidiscoveryv2.APIResourceDiscovery{
					Resource: k.resource, ResponseKind: &own, Scope: scope, SingularResource: k.singular, Verbs: allVerbs,
					ShortNames: k.short, Subresources: k.subresources(),
				})
			}
			item.Versions = append(item.Versions, found)
		}
		list.Items = append(list.Items, item)
	}
	answer := document(list)
	answer.Header.Set("Content-Type", aggregated)
	return answer
}

// serveReview answers reviews that a client requests about itself, or returns nil for any
// other request. Everything that no [Fault] refuses is allowed.
func (s *Store) serveReview(r *Request) *http.Response {
	if r.Verb != "create" {
		return nil
	}
	switch r.Resource.Resource {
	case "selfsubjectaccessreviews":
		var review authorizationv1.SelfSubjectAccessReview
		if err := json.Unmarshal(r.Body, &review); err != nil {
			return failed(err)
		}
		review.Status.Allowed = s.allowed(r, review.Spec.ResourceAttributes)
		return document(review)
	case "selfsubjectreviews":
		var review authenticationv1.SelfSubjectReview
		if err := json.Unmarshal(r.Body, &review); err != nil {
			return failed(err)
		}
		review.Status.UserInfo.Username = "admin"
		return document(review)
	}
	return nil
}

// allowed checks the faults for a hypothetical request.
func (s *Store) allowed(r *Request, a *authorizationv1.ResourceAttributes) bool {
	if a == nil {
		return true
	}
	probe := *r
	probe.Verb, probe.Namespace, probe.Name, probe.Subresource = a.Verb, a.Namespace, a.Name, a.Subresource
	probe.Resource = schema.GroupVersionResource{Group: a.Group, Version: cmp.Or(a.Version, "v1"), Resource: a.Resource}
	status := s.fault(&probe).Status
	return status == nil || status.Reason != metav1.StatusReasonForbidden
}
