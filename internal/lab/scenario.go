package lab

import (
	"encoding/json"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/internal/lab/faults"
)

// The methods below make rules for what real clusters do to their clients.

const writes = "POST|PUT|PATCH"

// RefuseAll answers every request except /readyz with a status.
func (p *Proxy) RefuseAll(status int) *Rule {
	p.front.tb.Helper()
	return p.Add(faults.Status(status), faults.Rule{Path: "^/readyz$", Action: faults.Forward})
}

// Throttle is RefuseAll with status 429 and a Retry-After in seconds.
func (p *Proxy) Throttle(retryAfter int) *Rule {
	p.front.tb.Helper()
	throttled := faults.Status(http.StatusTooManyRequests)
	throttled.Header = map[string]string{"Retry-After": fmt.Sprint(retryAfter)}
	return p.Add(throttled, faults.Rule{Path: "^/readyz$", Action: faults.Forward})
}

// Cut breaks every connection to the cluster, and every new connection at its first
// request.
func (p *Proxy) Cut() *Rule {
	p.front.tb.Helper()
	cut := p.Add(faults.Rule{Action: faults.Drop, Connection: true})
	p.Disconnect()
	return cut
}

// ExpireWatches answers every watch with 410, before it begins.
func (p *Proxy) ExpireWatches() *Rule {
	p.front.tb.Helper()
	expired := faults.Status(http.StatusGone)
	expired.Query = "watch=true"
	return p.Add(expired)
}

// ExpireRunningWatches accepts every watch and immediately ends it with an event of
// status 410, as a kube-apiserver does.
func (p *Proxy) ExpireRunningWatches() *Rule {
	p.front.tb.Helper()
	status := apierrors.NewResourceExpired("too old resource version").ErrStatus
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	event, err := json.Marshal(map[string]any{"type": "ERROR", "object": status})
	if err != nil {
		p.front.tb.Fatal(err)
	}
	return p.Add(faults.Rule{Query: "watch=true", Action: faults.Answer, Status: http.StatusOK, Content: string(event) + "\n"})
}

// DenyByPolicy refuses to create or change objects of a resource, as a
// ValidatingAdmissionPolicy does.
func (p *Proxy) DenyByPolicy(resource string) *Rule {
	p.front.tb.Helper()
	return p.refuse(resource, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid,
		`$RESOURCE "$NAME" is forbidden: ValidatingAdmissionPolicy 'sandbox' with binding 'sandbox' denied request: not here`)
}

// DenyByWebhook is like DenyByPolicy, with the answer of an admission webhook that
// denies.
func (p *Proxy) DenyByWebhook(resource string) *Rule {
	p.front.tb.Helper()
	return p.refuse(resource, http.StatusBadRequest, metav1.StatusReasonBadRequest,
		`admission webhook "deny.sandbox.fedsync.dev" denied the request: not here`)
}

// BreakWebhook is like DenyByPolicy, with the answer of an API server that cannot reach
// a webhook.
func (p *Proxy) BreakWebhook(resource string) *Rule {
	p.front.tb.Helper()
	return p.refuse(resource, http.StatusInternalServerError, metav1.StatusReasonInternalError,
		`Internal error occurred: failed calling webhook "deny.sandbox.fedsync.dev": failed to call webhook: Post "https://deny.sandbox.svc:443/validate?timeout=10s": context deadline exceeded`)
}

// DenyByQuota is like DenyByPolicy, with the answer for a ResourceQuota that is used up.
func (p *Proxy) DenyByQuota(resource string) *Rule {
	p.front.tb.Helper()
	return p.refuse(resource, http.StatusForbidden, metav1.StatusReasonForbidden,
		`$RESOURCE "$NAME" is forbidden: exceeded quota: sandbox, requested: count/$RESOURCE=1, used: count/$RESOURCE=1, limited: count/$RESOURCE=1`)
}

func (p *Proxy) refuse(resource string, status int, reason metav1.StatusReason, message string) *Rule {
	p.front.tb.Helper()
	r := faults.Status(status)
	r.Method, r.Path, r.Reason, r.Message = writes, faults.Resource(resource), string(reason), message
	return p.Add(r)
}

// HangWrites does not answer requests that create or change objects of a resource, as
// if a webhook did not answer.
func (p *Proxy) HangWrites(resource string) *Rule {
	p.front.tb.Helper()
	return p.Add(faults.Rule{Method: writes, Path: faults.Resource(resource), Action: faults.Hang})
}

// LoseWrites loses the answers of the next n writes to a resource: the writes succeed,
// but the client does not learn it.
func (p *Proxy) LoseWrites(resource string, n int) *Rule {
	p.front.tb.Helper()
	return p.Add(faults.Rule{Method: writes + "|DELETE", Path: faults.Resource(resource), Count: n, Action: faults.Lose})
}
