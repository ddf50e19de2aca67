package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Right is one permission that credentials may have.
type Right struct {
	Verb        string // "create"
	Resource    schema.GroupResource
	Subresource string // "status"; empty for the object itself
	Namespace   string // empty for all of them, or where Cluster is set
	Name        string // of the one object; empty for all of them
	Cluster     bool   // the resource belongs to no namespace
}

// What returns the resource as a role names it: "ingresses.networking.k8s.io/status".
func (a Right) What() string {
	if a.Subresource == "" {
		return a.Resource.String()
	}
	return a.Resource.String() + "/" + a.Subresource
}

// Ask returns the questions that the cluster answers with no, in their order. It
// creates reviews, which every user may do, with at most so many concurrent requests,
// and changes nothing. An error means that the cluster could not be asked.
func Ask(ctx context.Context, client dynamic.Interface, questions []Right, concurrency int) ([]Right, error) {
	allowed := make([]bool, len(questions))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, concurrency))
	for i, q := range questions {
		g.Go(func() error {
			answer, err := review(ctx, client, "authorization.k8s.io", "SelfSubjectAccessReview", map[string]any{
				"resourceAttributes": map[string]any{
					"verb": q.Verb, "group": q.Resource.Group, "resource": q.Resource.Resource, "subresource": q.Subresource,
					"namespace": q.Namespace, "name": q.Name,
				},
			})
			if err != nil {
				return fmt.Errorf("ask whether %s %s is allowed: %w", q.Verb, q.What(), err)
			}
			allowed[i], _, _ = unstructured.NestedBool(answer, "status", "allowed")
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var denied []Right
	for i, q := range questions {
		if !allowed[i] {
			denied = append(denied, q)
		}
	}
	return denied, nil
}

// User returns the name under which the cluster knows us.
func User(ctx context.Context, client dynamic.Interface) (string, error) {
	answer, err := review(ctx, client, "authentication.k8s.io", "SelfSubjectReview", nil)
	if err != nil {
		return "", fmt.Errorf("ask for the user's name: %w", err)
	}
	name, _, err := unstructured.NestedString(answer, "status", "userInfo", "username")
	return name, err
}

// review creates an object that is answered and not stored.
func review(ctx context.Context, client dynamic.Interface, group, kind string, spec map[string]any) (map[string]any, error) {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": group + "/v1", "kind": kind}}
	if spec != nil {
		u.Object["spec"] = spec
	}
	resource := schema.GroupVersionResource{Group: group, Version: "v1", Resource: strings.ToLower(kind) + "s"}
	answer, err := client.Resource(resource).Create(ctx, u, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return answer.Object, nil
}

// Findings returns findings for what is denied in a cluster. There is one finding for
// each missing role: resources that lack the same verbs are combined, and so are
// namespaces that lack the same.
func Findings(cluster, kubeContext, user string, denied []Right) []federation.Finding {
	var findings []federation.Finding
	for _, l := range lacks(denied) {
		findings = append(findings, federation.Finding{
			ID: federation.FindingPermission, Severity: federation.SeverityError, Cluster: cluster,
			Message: untrusted.Textf("cannot %s %s%s", strings.Join(l.verbs, ", "), strings.Join(l.resources, ", "), l.where()),
			Remedy:  untrusted.New(l.remedy(kubeContext, user)),
		})
	}
	return findings
}

// lack is what one role would grant.
type lack struct {
	verbs      []string // in the order of the questions
	resources  []string // sorted
	namespaces []string // sorted; empty for all, or none
	cluster    bool     // of resources without a namespace
	name       string   // of the one object; empty for all of them
}

func lacks(denied []Right) []lack {
	type place struct {
		namespace string
		name      string
		cluster   bool
	}
	verbs := map[place]map[string][]string{} // by resource
	for _, a := range denied {
		at := place{a.Namespace, a.Name, a.Cluster}
		if verbs[at] == nil {
			verbs[at] = map[string][]string{}
		}
		resource := a.What()
		verbs[at][resource] = append(verbs[at][resource], a.Verb)
	}
	var all []lack
	for at, byResource := range verbs {
		for resource, v := range byResource {
			same := slices.IndexFunc(all, func(l lack) bool {
				return slices.Equal(l.verbs, v) && slices.Equal(l.namespaces, namespaces(at.namespace)) && l.cluster == at.cluster && l.name == at.name
			})
			if same < 0 {
				all = append(all, lack{verbs: v, namespaces: namespaces(at.namespace), cluster: at.cluster, name: at.name})
				same = len(all) - 1
			}
			all[same].resources = append(all[same].resources, resource)
		}
	}
	for i := range all {
		slices.Sort(all[i].resources)
	}
	slices.SortFunc(all, lack.compare)
	var merged []lack
	for _, l := range all {
		same := slices.IndexFunc(merged, func(m lack) bool {
			return len(l.namespaces) > 0 && len(m.namespaces) > 0 && slices.Equal(l.verbs, m.verbs) && slices.Equal(l.resources, m.resources) && l.name == m.name
		})
		if same < 0 {
			merged = append(merged, l)
			continue
		}
		merged[same].namespaces = append(merged[same].namespaces, l.namespaces...)
	}
	return merged
}

func namespaces(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

func (l lack) compare(o lack) int {
	if c := slices.Compare(l.namespaces, o.namespaces); c != 0 {
		return c
	}
	if c := slices.Compare(l.resources, o.resources); c != 0 {
		return c
	}
	if c := slices.Compare(l.verbs, o.verbs); c != 0 {
		return c
	}
	return strings.Compare(l.name, o.name)
}

func (l lack) where() string {
	quoted := make([]string, len(l.namespaces))
	for i, name := range l.namespaces {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	switch {
	case l.cluster && l.name != "":
		return fmt.Sprintf(" %q", l.name)
	case l.cluster:
		return ""
	case len(quoted) == 0:
		return " in all namespaces"
	case len(quoted) == 1:
		return " in namespace " + quoted[0]
	}
	return " in namespaces " + strings.Join(quoted, ", ")
}

// remedy returns the commands with which an administrator grants it.
func (l lack) remedy(kubeContext, user string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(strings.Join(l.verbs, ",") + " " + strings.Join(l.resources, ",") + " " + l.name)))
	name := "fedsync-" + hex.EncodeToString(sum[:3])
	what := fmt.Sprintf("%s --verb=%s --resource=%s", name, strings.Join(l.verbs, ","), untrusted.Quote(strings.Join(l.resources, ",")))
	if l.name != "" {
		what += " --resource-name=" + untrusted.Quote(l.name)
	}
	kubectl := "kubectl --context=" + untrusted.Quote(kubeContext)
	user = untrusted.Quote(user)
	switch len(l.namespaces) {
	case 0:
		return fmt.Sprintf("as an administrator: %[1]s create clusterrole %[2]s && %[1]s create clusterrolebinding %[3]s --clusterrole=%[3]s --user=%[4]s",
			kubectl, what, name, user)
	case 1:
		return fmt.Sprintf("as an administrator: %[1]s -n %[2]s create role %[3]s && %[1]s -n %[2]s create rolebinding %[4]s --role=%[4]s --user=%[5]s",
			kubectl, untrusted.Quote(l.namespaces[0]), what, name, user)
	}
	return fmt.Sprintf("as an administrator: %[1]s create clusterrole %[2]s, and in each of the namespaces %[1]s -n NAMESPACE create rolebinding %[3]s --clusterrole=%[3]s --user=%[4]s",
		kubectl, what, name, user)
}
