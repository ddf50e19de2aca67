package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/federation"
)

// clustersCommand gives a script three real clusters, which other tests use at the same
// time, and names in them that are its own:
//
//	C1 C2 C3         the clusters' names
//	NS FED           an existing namespace, and a name for a federation
//	PORT1 PORT2      unused node ports
//
// It writes $KUBECONFIG, sets fedsync's settings to values for tests (see
// settingsOfScripts), and replaces ${NAME} in the script's files. At the end of the script
// everything of that federation, and every namespace whose name begins with $NS, is deleted
// from the clusters.
func clustersCommand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "clusters")
	s := lab.Shared(tb(ts))
	names := s.Clusters()[:3]
	for i, name := range names {
		ts.Setenv(fmt.Sprintf("C%d", i+1), name)
	}
	ns := s.Namespace(tb(ts))
	fed := "fed-" + ns[strings.LastIndex(ns, "-")+1:]
	ts.Setenv("NS", ns)
	ts.Setenv("FED", fed)
	port := s.FreeNodePorts(tb(ts), 2)
	ts.Setenv("PORT1", fmt.Sprint(port))
	ts.Setenv("PORT2", fmt.Sprint(port+1))
	s.CleanUp(tb(ts), ns, inventory.ParentSelector(fed))

	config, err := clientcmd.LoadFromFile(s.Kubeconfig())
	ts.Check(err)
	ts.Check(clientcmd.WriteToFile(*config, ts.Getenv("KUBECONFIG")))
	for name, value := range settingsOfScripts {
		ts.Setenv(name, value)
	}
	ts.Setenv("FEDSYNC_REPO", ts.Getenv("REPO"))
	ts.Check(expandFiles(ts.Getenv("WORK"), ts.Getenv))
}

// settingsOfScripts sets short intervals and long timeouts, because the machine may be busy
// with other tests.
var settingsOfScripts = map[string]string{
	"FEDSYNC_PROBE_INTERVAL":  "200ms",
	"FEDSYNC_PROBE_TIMEOUT":   "10s",
	"FEDSYNC_REQUEST_TIMEOUT": "30s",
	"FEDSYNC_INTERVAL":        "1s",
	"FEDSYNC_LISTEN":          "127.0.0.1:0",
	"FEDSYNC_COMMIT_STATUS":   "none",
}

// kubeconfigCommand changes the script's kubeconfig, as an operator would while
// fedsync runs:
//
//	kubeconfig CLUSTER token TEXT     another token
//	kubeconfig CLUSTER user NAME      another user, by impersonation
//	kubeconfig CLUSTER server URL     another address
//	kubeconfig CLUSTER as CLUSTER     the name refers to another cluster
//	kubeconfig CLUSTER remove         no context
//	kubeconfig CLUSTER reset          the original state
func kubeconfigCommand(ts *testscript.TestScript, neg bool, args []string) {
	const form = "kubeconfig CLUSTER token|user|server|as|remove|reset [VALUE]"
	usage(ts, neg || len(args) < 2, form)
	name, action, value := args[0], args[1], strings.Join(args[2:], " ")
	file := ts.Getenv("KUBECONFIG")
	config, err := clientcmd.LoadFromFile(file)
	ts.Check(err)
	original, err := clientcmd.LoadFromFile(lab.Shared(tb(ts)).Kubeconfig())
	ts.Check(err)
	usage(ts, original.Contexts[name] == nil, form)

	config.Contexts[name] = original.Contexts[name].DeepCopy()
	user := original.AuthInfos[original.Contexts[name].AuthInfo].DeepCopy()
	at := original.Clusters[original.Contexts[name].Cluster].DeepCopy()
	switch action {
	case "token":
		user = &clientcmdapi.AuthInfo{Token: value}
	case "user":
		user.Impersonate = value
	case "server":
		at.Server = value
	case "as": // the name refers to another cluster
		usage(ts, original.Contexts[value] == nil, form)
		user = original.AuthInfos[original.Contexts[value].AuthInfo].DeepCopy()
		at = original.Clusters[original.Contexts[value].Cluster].DeepCopy()
	case "remove":
		delete(config.Contexts, name)
	case "reset":
	default:
		usage(ts, true, form)
	}
	if c := config.Contexts[name]; c != nil {
		c.AuthInfo, c.Cluster = name, name
		config.AuthInfos[name], config.Clusters[name] = user, at
	}
	// Rename, so that no reader sees half of it.
	ts.Check(clientcmd.WriteToFile(*config, file+".new"))
	ts.Check(os.Rename(file+".new", file))
}

// clusterCommand reads and changes a cluster as other users would; OBJECT is
// [GROUP/]KIND[/NAMESPACE]/NAME:
//
//	[!] cluster CLUSTER get OBJECT [JSONPATH]    prints it; with ! fails if it exists
//	cluster CLUSTER wait OBJECT JSONPATH VALUE   waits until the path prints the value
//	cluster CLUSTER gone OBJECT                  waits until it does not exist
//	cluster CLUSTER create FILE [MANAGER]        creates the objects of a file, and deletes
//	                                             them at the script's end
//	cluster CLUSTER patch OBJECT JSON [MANAGER]  merges a patch
//	cluster CLUSTER delete OBJECT
//	cluster CLUSTER refuses FILE                 waits until it would refuse to create the object
func clusterCommand(ts *testscript.TestScript, neg bool, args []string) {
	const form = "cluster CLUSTER get|wait|gone|create|patch|delete|refuses OBJECT|FILE [ARG…]"
	usage(ts, len(args) < 3 || neg && args[1] != "get", form)
	c := newScriptCluster(ts, args[0])
	arg := func(i int, otherwise string) string {
		if len(args) > i {
			return args[i]
		}
		return otherwise
	}
	switch args[1] {
	case "get":
		text, err := c.get(args[2], arg(3, ""))
		switch {
		case neg && err == nil:
			ts.Fatalf("%s exists", args[2])
		case neg && apierrors.IsNotFound(err):
		default:
			ts.Check(err)
			fmt.Fprintln(ts.Stdout(), text)
		}
	case "wait":
		var last string
		wait(ts, func() (bool, error) {
			text, err := c.get(args[2], arg(3, ""))
			last = text
			if apierrors.IsNotFound(err) {
				last, err = "it is not there", nil
				return false, err
			}
			return text == arg(4, ""), err
		}, func() string { return fmt.Sprintf("%s: %s is %q, want %q", args[2], arg(3, ""), last, arg(4, "")) })
	case "gone":
		wait(ts, func() (bool, error) {
			_, err := c.get(args[2], "")
			if apierrors.IsNotFound(err) {
				return true, nil
			}
			return false, err
		}, func() string { return args[2] + " is still there" })
	case "create":
		for document := range strings.SplitSeq(ts.ReadFile(args[2]), "\n---\n") {
			c.create(document, arg(3, "kubectl"))
		}
	case "patch":
		ref, objects := c.object(args[2])
		_, err := objects.Patch(c.ctx, ref.Name, types.MergePatchType, []byte(arg(3, "")), metav1.PatchOptions{FieldManager: arg(4, "kubectl")})
		ts.Check(err)
	case "refuses":
		u := c.decode(ts.ReadFile(args[2]))
		_, objects := c.object(federation.RefOf(u).String())
		wait(ts, func() (bool, error) {
			_, err := objects.Create(c.ctx, u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return apierrors.IsInvalid(err) || apierrors.IsForbidden(err), nil
		}, func() string { return "it is not refused" })
	case "delete":
		ref, objects := c.object(args[2])
		ts.Check(objects.Delete(c.ctx, ref.Name, metav1.DeleteOptions{}))
	default:
		usage(ts, true, form)
	}
}

// scriptCluster is a cluster with an administrator's clients.
type scriptCluster struct {
	ts      *testscript.TestScript
	ctx     context.Context
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

func newScriptCluster(ts *testscript.TestScript, name string) *scriptCluster {
	s := lab.Shared(tb(ts))
	client, err := discovery.NewDiscoveryClientForConfig(s.RESTConfig(name))
	ts.Check(err)
	return &scriptCluster{
		ts:      ts,
		ctx:     tb(ts).Context(),
		dynamic: s.Dynamic(tb(ts), name),
		mapper:  restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client)),
	}
}

func (c *scriptCluster) object(text string) (federation.ObjectRef, dynamic.ResourceInterface) {
	ref, err := federation.ParseObjectRef(text)
	c.ts.Check(err)
	mapping, err := c.mapper.RESTMapping(ref.GroupKind())
	c.ts.Check(err)
	return ref, c.dynamic.Resource(mapping.Resource).Namespace(ref.Namespace)
}

func (c *scriptCluster) get(text, path string) (string, error) {
	ref, objects := c.object(text)
	u, err := objects.Get(c.ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if path == "" {
		u.SetManagedFields(nil)
		data, err := yaml.Marshal(u.Object)
		return string(data), err
	}
	j := jsonpath.New("path").AllowMissingKeys(true)
	if err := j.Parse(path); err != nil {
		return "", err
	}
	var b strings.Builder
	err = j.Execute(&b, u.Object)
	return b.String(), err
}

func (c *scriptCluster) decode(document string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	c.ts.Check(yaml.Unmarshal([]byte(document), &u.Object))
	return u
}

func (c *scriptCluster) create(document, manager string) {
	u := c.decode(document)
	ref := federation.RefOf(u)
	_, objects := c.object(ref.String())
	_, err := objects.Create(c.ctx, u, metav1.CreateOptions{FieldManager: manager})
	c.ts.Check(err)
	tb(c.ts).Cleanup(func() {
		ctx := context.WithoutCancel(c.ctx)
		if err := objects.Delete(ctx, ref.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			tb(c.ts).Errorf("delete %s: %v", ref, err)
		}
	})
}
