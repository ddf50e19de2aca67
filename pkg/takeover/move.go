package takeover

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/federation"
)

const fieldManager = "fedsync"

// AliveError means that an instance of the other source is running.
type AliveError struct {
	Cluster string // where its claim was put back
	Who     string // the Lease's description of the instance
}

// Error names the instance.
func (e *AliveError) Error() string {
	return fmt.Sprintf("an instance of the other source runs (%s): it put its claim back in %s", e.Who, e.Cluster)
}

// Moved is the result of moving one cluster.
type Moved struct {
	Name  string
	Claim bool     // the claim was handed over
	Apps  []string // the apps whose inventories were moved
	Err   error    // why something was not moved
}

// Move moves what Inspect found of another source. Without force it first checks whether
// an instance of the other source is running. If one is, Move moves nothing and returns
// an AliveError; otherwise the error is that of the context. With force, such an
// instance stops writing when its claim is handed over.
func Move(ctx context.Context, o Options, found []Cluster, force bool) ([]Moved, error) {
	if !force {
		var err error
		if found, err = o.challenge(ctx, found); err != nil {
			return nil, err
		}
	}
	by := map[string]Cluster{}
	for _, c := range found {
		by[c.Name] = c
	}
	results := map[string]*Moved{}
	for _, c := range found {
		results[c.Name] = &Moved{Name: c.Name, Err: c.Err}
	}
	each(ctx, o, func(ctx context.Context, name string, client dynamic.Interface) Cluster {
		if m := results[name]; m != nil && m.Err == nil {
			m.move(ctx, o, by[name], client)
		}
		return Cluster{}
	})
	var moved []Moved
	for _, c := range found {
		moved = append(moved, *results[c.Name])
	}
	return moved, ctx.Err()
}

// move moves one cluster. The claim goes first, since an instance of the other source
// that starts at the same time would write the inventories again.
func (m *Moved) move(ctx context.Context, o Options, c Cluster, client dynamic.Interface) {
	if c.Claim.OfAnother(o.Owner.Source) {
		m.Err = o.request(ctx, func(ctx context.Context) error {
			_, err := claim.HandOver(ctx, client, o.Owner.Federation, c.Claim, o.Owner.Source)
			return err
		})
		if m.Err != nil {
			return
		}
		m.Claim = true
	}
	for _, p := range c.Foreign {
		err := o.request(ctx, func(ctx context.Context) error { return adopt(ctx, client, p, o.Owner) })
		if err != nil {
			m.Err = errors.Join(m.Err, fmt.Errorf("app %s: %w", p.App, err))
			continue
		}
		m.Apps = append(m.Apps, p.App)
	}
}

// adopt gives an inventory to the owner, if it has not changed since it was found.
func adopt(ctx context.Context, client dynamic.Interface, p inventory.Parent, owner inventory.Owner) error {
	patch, err := p.MoveTo(owner.Source)
	if err != nil {
		return err
	}
	_, err = client.Resource(configMaps).Namespace(federation.SystemNamespace).Patch(ctx,
		inventory.ParentName(owner.Federation, p.App), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsConflict(err) {
		return fmt.Errorf("its inventory has changed: run the command again: %w", err)
	}
	return err
}

// challenge checks whether an instance of the other source is running. It replaces the
// holder of each claim of the other source, and a running instance puts itself back. It
// returns the clusters with their claims as written.
func (o Options) challenge(ctx context.Context, found []Cluster) ([]Cluster, error) {
	by := map[string]Cluster{}
	for _, c := range found {
		by[c.Name] = c
	}
	challenged := each(ctx, o, func(ctx context.Context, name string, client dynamic.Interface) Cluster {
		c := by[name]
		if c.Err != nil || !c.Claim.OfAnother(o.Owner.Source) {
			return c
		}
		c.Err = o.request(ctx, func(ctx context.Context) (err error) {
			before := c.Claim
			if c.Claim, err = claim.Challenge(ctx, client, o.Owner.Federation, before); err != nil {
				c.Claim.Who = before.Who
			}
			return err
		})
		return c
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return challenged, o.await(ctx, challenged)
}

// await watches the challenged claims until the time is up, or one is put back.
func (o Options) await(ctx context.Context, challenged []Cluster) error {
	within := o.AnswerWithin
	if within <= 0 {
		within = answerWithin
	}
	deadline, tick := time.NewTimer(within), time.NewTicker(pollInterval)
	defer deadline.Stop()
	defer tick.Stop()
	for last := false; !last; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			last = true // check one last time
		case <-tick.C:
		}
		if err := o.answered(ctx, challenged); err != nil {
			return err
		}
	}
	return nil
}

// answered returns an AliveError if a claim was put back, or written during the
// challenge. A cluster without an answer does not count.
func (o Options) answered(ctx context.Context, challenged []Cluster) error {
	by := map[string]Cluster{}
	waiting := false
	for _, c := range challenged {
		if errors.Is(c.Err, claim.ErrAnswered) {
			return &AliveError{Cluster: c.Name, Who: c.Claim.Who}
		}
		by[c.Name] = c
		waiting = waiting || c.Err == nil && c.Claim.OfAnother(o.Owner.Source)
	}
	if !waiting {
		return nil
	}
	for _, c := range each(ctx, o, func(ctx context.Context, name string, client dynamic.Interface) Cluster {
		c := by[name]
		if c.Err != nil || !c.Claim.OfAnother(o.Owner.Source) {
			return Cluster{Name: name}
		}
		now := Cluster{Name: name}
		now.Err = o.request(ctx, func(ctx context.Context) (err error) {
			now.Claim, err = claim.Read(ctx, client, o.Owner.Federation)
			return err
		})
		return now
	}) {
		if c.Err == nil && c.Claim.OfAnother(o.Owner.Source) && c.Claim.Answered() {
			return &AliveError{Cluster: c.Name, Who: c.Claim.Who}
		}
	}
	return nil
}
