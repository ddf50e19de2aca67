package claim

import (
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// takeOver is the remedy where another source claims the federation.
const takeOver = "stop the other fedsync, or rename the federation; if this is the same repository at another address, " +
	"run `fedsync takeover` with these settings to see what it would move, and add --yes to move it"

// Findings returns the reasons why this instance does not write, by cluster.
func (w *Writer) Findings() []federation.Finding {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	var findings []federation.Finding
	for _, name := range w.table.names() {
		c := w.claims[name]
		if f, found := c.finding(now); found {
			findings = append(findings, f)
		}
	}
	return findings
}

// finding returns the reason why this instance does not write to the cluster. The
// caller must hold the writer's lock.
func (c *Claim) finding(now time.Time) (federation.Finding, bool) {
	v, s := c.verdict(now), c.row.sight
	name := Name(c.federation)
	if (v.Action == Refresh || v.Action == Take) && v.Err == nil {
		return federation.Finding{}, false // not a failure: it is due
	}
	f := federation.Finding{
		ID: federation.FindingClaim, Severity: federation.SeverityError, Cluster: c.cluster,
		Object: federation.ObjectRef{Group: Resource.Group, Kind: "Lease", Namespace: Namespace, Name: name},
	}
	remove := untrusted.Command("kubectl delete lease -n %s %s", Namespace, name)
	switch v.Action {
	case Yield:
		f.ID, f.Object = federation.FindingFenced, federation.ObjectRef{}
		f.Message = untrusted.Textf("instance %s writes this federation now: this instance (%s, %s) has stopped writing",
			c.describe(v.By), v.Token.Short(), c.writer.holder.label)
		f.Remedy = untrusted.Const("stop one of the two; if the other one has ended, start this one again")
	case Damaged:
		found := fmt.Sprintf("holder %q was not written by fedsync", s.Text)
		if s.Kind == Held {
			found = fmt.Sprintf("generation %d is far above that of the other clusters", s.Holder.generation)
		}
		f.Message = untrusted.Textf("nothing is written to this cluster: the claim is damaged: %s", found)
		f.Remedy = untrusted.New("find out who changed it, then " + remove)
	case Foreign:
		f.ID = federation.FindingOwned
		f.Message = untrusted.Textf("nothing is written to this cluster: instance %s claims it for another source (repository, ref and federation): %q; this source is %q",
			c.describe(s.Holder), clean(s.Source, 80), c.table.source)
		f.Remedy = untrusted.Const(takeOver)
	case Blind:
		f.Message = untrusted.Const("nothing is written to this cluster: the claim cannot be watched")
		c.failed(&f, v.Err, "list, watch")
	case Refresh:
		f.Message = untrusted.Const("nothing is written to this cluster: the claim cannot be read")
		c.failed(&f, v.Err, "get")
	case Take:
		f.Message = untrusted.Const("nothing is written to this cluster: the claim cannot be written")
		c.failed(&f, v.Err, "create, update")
	case Wait, Write, Left:
		return federation.Finding{}, false
	}
	return f, true
}

// failed adds to the finding why a request failed.
func (c *Claim) failed(f *federation.Finding, err error, verbs string) {
	f.Message = untrusted.Textf("%s: %s", f.Message, c.writer.options.Words(err))
	if apierrors.IsForbidden(err) {
		f.ID = federation.FindingPermission
		f.Remedy = untrusted.Textf("allow the verbs %s on leases.coordination.k8s.io in namespace %s; fedsync needs get, list, watch, create and update there", verbs, Namespace)
	}
}

// describe returns a token with the Lease's description of its holder.
func (c *Claim) describe(token Token) string {
	if s := c.row.sight; s.Holder == token && s.Who != "" {
		return fmt.Sprintf("%s (%s)", token.Short(), s.Who)
	}
	return token.Short()
}
