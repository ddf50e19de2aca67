package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// account is the user that fedsync and the floor are in every cluster. It is not
// the one that the sandbox's own parts and this program's watches use, so that
// the API servers can tell their requests apart.
const account = "restricted"

// lab is the clusters, and clients of them.
type lab struct {
	sandbox    *sandbox
	clusters   []*member
	byName     map[string]*member
	kubeconfig string // with the account's credentials
	sightings  *sightings
}

// member is one member cluster.
type member struct {
	name  string
	admin dynamic.Interface    // for edits by hand, and to see what is so
	core  kubernetes.Interface // the same
	floor dynamic.Interface    // as the account, without a rate limit
}

// openLab gives the clusters, and starts them when they are first asked for.
func (b *bench) openLab(ctx context.Context) (*lab, error) {
	if b.lab != nil {
		return b.lab, nil
	}
	if err := b.programs(ctx); err != nil {
		return nil, err
	}
	b.tell("starting %d clusters …", b.clusters)
	logs := ""
	if b.keep != "" {
		logs = filepath.Join(b.keep, "clusters")
	}
	s, err := startSandbox(b.sandbox, filepath.Join(b.dir, "sandbox"), logs, b.clusters)
	if err != nil {
		return nil, err
	}
	l := &lab{sandbox: s, byName: map[string]*member{}, kubeconfig: filepath.Join(b.dir, "kubeconfig")}
	if err := l.open(ctx); err != nil {
		_ = l.close()
		return nil, err
	}
	b.lab = l
	return l, nil
}

func (l *lab) open(ctx context.Context) error {
	config, err := clientcmd.LoadFromFile(l.sandbox.said.Kubeconfig)
	if err != nil {
		return err
	}
	limited := config.DeepCopy()
	for name := range limited.AuthInfos {
		limited.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: l.sandbox.said.Restricted[name]}
	}
	if err := clientcmd.WriteToFile(*limited, l.kubeconfig); err != nil {
		return fmt.Errorf("write a kubeconfig: %w", err)
	}
	for _, name := range l.sandbox.said.Clusters {
		m, err := newMember(name, config, limited)
		if err != nil {
			return fmt.Errorf("make clients of %s: %w", name, err)
		}
		l.clusters = append(l.clusters, m)
		l.byName[name] = m
	}
	if err := l.each(func(m *member) error { return m.admit(ctx) }); err != nil {
		return err
	}
	l.sightings = watchClusters(l.clusters)
	return nil
}

func (l *lab) close() error {
	if l.sightings != nil {
		l.sightings.close()
	}
	return l.sandbox.close()
}

// each does something in all clusters at once.
func (l *lab) each(f func(*member) error) error {
	var all errgroup.Group
	for _, m := range l.clusters {
		all.Go(func() error {
			if err := f(m); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			return nil
		})
	}
	return all.Wait()
}

// all does the same to several clusters at once: pause, resume, kill or start.
func (l *lab) all(ctx context.Context, action string, clusters []string) error {
	var all errgroup.Group
	for _, name := range clusters {
		all.Go(func() error { return l.sandbox.do(ctx, action, name) })
	}
	return all.Wait()
}

func (l *lab) names() []string {
	names := make([]string, len(l.clusters))
	for i, m := range l.clusters {
		names[i] = m.name
	}
	return names
}

func newMember(name string, admin, limited *clientcmdapi.Config) (*member, error) {
	m := &member{name: name}
	cfg, err := restConfig(admin, name)
	if err != nil {
		return nil, err
	}
	if m.core, err = kubernetes.NewForConfig(cfg); err != nil {
		return nil, err
	}
	if m.admin, err = dynamic.NewForConfig(cfg); err != nil {
		return nil, err
	}
	if cfg, err = restConfig(limited, name); err != nil {
		return nil, err
	}
	m.floor, err = dynamic.NewForConfig(cfg)
	return m, err
}

func restConfig(config *clientcmdapi.Config, context string) (*rest.Config, error) {
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*config, context, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	cfg.QPS = -1 // no limit
	cfg.WarningHandlerWithContext = rest.NoWarnings{}
	return cfg, nil
}

// admit lets the account do everything, and makes the API server count what it
// does.
func (m *member) admit(ctx context.Context) error {
	_, err := m.core.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "bench"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: account}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	for _, schema := range flowSchemas() {
		_, err := m.core.FlowcontrolV1().FlowSchemas().Create(ctx, schema, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return m.counting(ctx)
}

// counting waits until requests of the account are counted.
func (m *member) counting(ctx context.Context) error {
	return wait(ctx, time.Minute, 200*time.Millisecond, "count requests", func(ctx context.Context) (bool, string) {
		if _, err := m.floor.Resource(services).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
			return false, err.Error()
		}
		counts, err := m.requests(ctx)
		if err != nil {
			return false, err.Error()
		}
		return counts[verbList] > 0, fmt.Sprint(counts)
	})
}

// flowSchemas are what API Priority and Fairness tells the account's requests
// apart by: one for each verb. They lead to the level that limits nothing.
func flowSchemas() []*flowcontrolv1.FlowSchema {
	var all []*flowcontrolv1.FlowSchema
	add := func(name string, rule flowcontrolv1.PolicyRulesWithSubjects) {
		rule.Subjects = []flowcontrolv1.Subject{{
			Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: account},
		}}
		all = append(all, &flowcontrolv1.FlowSchema{
			ObjectMeta: metav1.ObjectMeta{Name: flowPrefix + name},
			Spec: flowcontrolv1.FlowSchemaSpec{
				PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: flowcontrolv1.PriorityLevelConfigurationNameExempt},
				// The first that is free; names decide among equals, and the
				// system's own schema "probes" comes after all of these.
				MatchingPrecedence: 2,
				Rules:              []flowcontrolv1.PolicyRulesWithSubjects{rule},
			},
		})
	}
	paths := func(path string) flowcontrolv1.PolicyRulesWithSubjects {
		return flowcontrolv1.PolicyRulesWithSubjects{NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{
			Verbs: []string{flowcontrolv1.VerbAll}, NonResourceURLs: []string{path},
		}}}
	}
	add(probes, paths("/readyz"))
	add(otherPaths, paths(flowcontrolv1.NonResourceAll))
	for _, verb := range verbs() {
		add(verb, flowcontrolv1.PolicyRulesWithSubjects{ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
			Verbs:        []string{verb},
			APIGroups:    []string{flowcontrolv1.APIGroupAll},
			Resources:    []string{flowcontrolv1.ResourceAll},
			Namespaces:   []string{flowcontrolv1.NamespaceEvery},
			ClusterScope: true,
		}}})
	}
	return all
}
