// Package takeover moves what a federation has in its clusters from one source to
// another: from its former repository to its current one.
//
// Its input is a client of each cluster. Its output is what each cluster has of another
// source, and the result of moving it: the federation's claim (package claim) and the
// inventories of its apps (package inventory). The claim goes first: then the other
// source stops writing, and only after that is anything else moved. Each step can be
// resumed by the next run, so a run may be interrupted anywhere.
package takeover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
)

const (
	// answerWithin is how long a running instance may take to put its claim back. It
	// needs the time of one request. Only after this time does it count as ended.
	answerWithin = 10 * time.Second
	// pollInterval is the pause between two reads of challenged claims.
	pollInterval = 250 * time.Millisecond
	// requestTimeout is the default timeout of one request.
	requestTimeout = 10 * time.Second
	// atOnce is how many clusters are asked at the same time.
	atOnce = 32
	// pageSize is the number of objects per page.
	pageSize = 500
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// Options configure what is moved, to which source, and where.
type Options struct {
	Owner inventory.Owner // the federation, and the source that it is moved to
	// Clients are the clients of the clusters, by name. Errors has the reason for each
	// cluster without a client.
	Clients map[string]dynamic.Interface
	Errors  map[string]error
	Timeout time.Duration // of one request; 10 s if zero
	// AnswerWithin is how long an instance of the other source may take to show that it
	// is running; 10 s if zero.
	AnswerWithin time.Duration
}

// Cluster is what one cluster has of the federation.
type Cluster struct {
	Name  string
	Claim claim.Sight
	// Foreign are the inventories that belong to another source, by app. Ours are the
	// apps whose inventories are this source's. Refused are those of other federations,
	// each with the reason: they stay unchanged.
	Foreign []inventory.Parent
	Ours    []string
	Refused map[string]string
	Err     error // why it could not be read

	// Inventories are those of Ours.
	Inventories []inventory.Parent
}

// Source returns the other source; empty where there is none.
func (c Cluster) Source(own string) string {
	if c.Claim.OfAnother(own) {
		return c.Claim.Source
	}
	for _, p := range c.Foreign {
		return p.Source
	}
	return ""
}

// Settled reports whether the cluster has nothing of another source.
func (c Cluster) Settled(own string) bool { return c.Err == nil && c.Source(own) == "" }

// Inspect reads what each cluster has of the federation, and writes nothing. The clusters
// are sorted by name.
func Inspect(ctx context.Context, o Options) []Cluster {
	return each(ctx, o, func(ctx context.Context, name string, client dynamic.Interface) Cluster {
		c := Cluster{Name: name, Refused: map[string]string{}}
		c.Err = c.look(ctx, o, client)
		return c
	})
}

func (c *Cluster) look(ctx context.Context, o Options, client dynamic.Interface) (err error) {
	err = o.request(ctx, func(ctx context.Context) error {
		c.Claim, err = claim.Read(ctx, client, o.Owner.Federation)
		return err
	})
	if err != nil {
		return err
	}
	parents := client.Resource(configMaps).Namespace(federation.SystemNamespace)
	err = o.each(ctx, parents, inventory.ParentSelector(o.Owner.Federation), func(u *unstructured.Unstructured) error {
		c.sort(o.Owner, u)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the inventories: %w", err)
	}
	return nil
}

// each calls use for every object that the selector selects, page by page. Use may make
// requests, so a page is read to its end first. A cluster that never ends a list must not
// keep the command running forever.
func (o Options) each(ctx context.Context, objects dynamic.ResourceInterface, selector string, use func(*unstructured.Unstructured) error) error {
	options := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for range bounds.Pages {
		var page *unstructured.UnstructuredList
		err := o.request(ctx, func(ctx context.Context) (err error) {
			page, err = objects.List(ctx, options)
			return err
		})
		if err != nil {
			return err
		}
		for i := range page.Items {
			if err := use(&page.Items[i]); err != nil {
				return err
			}
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
	return failure.Misbehaves("lists objects without end, on more than %d pages", bounds.Pages)
}

// sort adds an inventory to those of its owner.
func (c *Cluster) sort(owner inventory.Owner, u *unstructured.Unstructured) {
	app := inventory.AppOf(owner.Federation, u)
	if app == "" {
		return
	}
	p := inventory.Read(u)
	why, _ := owner.Refusal(app, p)
	as := owner
	as.Source = p.Source
	notOurs, _ := as.Refusal(app, p) // whatever the source
	switch {
	case why == "":
		c.Ours, c.Inventories = append(c.Ours, app), append(c.Inventories, p)
	case notOurs != "" || p.Source == "" || u.GetName() != inventory.ParentName(owner.Federation, app):
		c.Refused[app] = why
	default:
		c.Foreign = append(c.Foreign, p)
	}
}

// each calls f for every cluster that has a client, several at the same time.
func each(ctx context.Context, o Options, f func(ctx context.Context, name string, client dynamic.Interface) Cluster) []Cluster {
	names := slices.Collect(maps.Keys(o.Clients))
	for name := range o.Errors {
		if o.Clients[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	clusters := make([]Cluster, len(names))
	slots := make(chan struct{}, atOnce) // one for each cluster that is being asked
	var running sync.WaitGroup
	for i, name := range names {
		client := o.Clients[name]
		if client == nil {
			clusters[i] = Cluster{Name: name, Err: o.Errors[name]}
			continue
		}
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			clusters[i] = f(ctx, name, client)
		})
	}
	running.Wait()
	return clusters
}

// request calls ask with the timeout of one request.
func (o Options) request(ctx context.Context, ask func(context.Context) error) error {
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = requestTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return ask(ctx)
}
