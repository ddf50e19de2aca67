package plan

import (
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/markdown"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Cloud is what the change would do on Google Cloud if fedsync creates the load balancers,
// without the differences that exist there anyway.
type Cloud struct {
	Project string         `json:"project"`
	Unasked untrusted.Text `json:"unasked,omitzero"` // why it is not known
	// Notice is what users should know if the change modifies the federation's settings
	// for Google Cloud.
	Notice    untrusted.Text  `json:"notice,omitzero"`
	Changes   []CloudChange   `json:"changes"` // in the order of creation
	Addresses []AddressChange `json:"addresses"`
	Besides   int             `json:"besides"` // how many changes are due there without this one
}

// CloudChange is what happens to one resource on Google Cloud.
type CloudChange struct {
	Verb     string         `json:"verb"`     // "create", "update", "attach", "detach" or "delete"
	Resource string         `json:"resource"` // "backend service NAME"
	Detail   untrusted.Text `json:"detail,omitzero"`
}

// AddressChange is an Ingress whose load balancer gets another address, or none.
type AddressChange struct {
	Ingress federation.ObjectRef `json:"ingress"`
	Before  string               `json:"before"`
	After   string               `json:"after,omitempty"` // empty if the load balancer is deleted
}

// count returns the number of changes.
func (c *Cloud) count() int {
	if c == nil {
		return 0
	}
	return len(c.Changes)
}

// shortened returns it with at most limit.Findings changes.
func (c *Cloud) shortened() *Cloud {
	if c == nil {
		return nil
	}
	short := *c
	short.Changes = append([]CloudChange{}, c.Changes[:min(len(c.Changes), limit.Findings)]...)
	short.Addresses = append([]AddressChange{}, c.Addresses[:min(len(c.Addresses), limit.Findings)]...)
	return &short
}

// cloudRisks returns the risks on Google Cloud, most of all that clients of an address lose
// their connection.
func cloudRisks(c *Cloud) []Risk {
	if c == nil {
		return nil
	}
	var all []Risk
	for _, a := range c.Addresses {
		r := Risk{Kind: RiskAddress, Severity: federation.SeverityWarning, Object: a.Ingress}
		if r.Message = untrusted.Textf("its load balancer's address changes from %s to %s: update DNS", a.Before, a.After); a.After == "" {
			r.Message = untrusted.Textf("its load balancer at %s will be deleted: that address will no longer answer", a.Before)
		}
		all = append(all, r)
	}
	if !c.Notice.IsZero() {
		all = append(all, Risk{Kind: RiskAddress, Severity: federation.SeverityWarning, Message: c.Notice})
	}
	for _, change := range c.Changes {
		if strings.HasPrefix(change.Resource, "HTTPS proxy ") && strings.Contains(change.Detail.String(), "sslCertificates") {
			all = append(all, Risk{Kind: RiskTLS, Severity: federation.SeverityWarning, Message: untrusted.Textf("%s serves other certificates: %s", change.Resource, change.Detail)})
		}
	}
	return all
}

// String returns the change on one line: "update backend service NAME: timeoutSec".
func (c CloudChange) String() string {
	return strings.TrimSuffix(fmt.Sprintf("%s %s: %s", c.Verb, c.Resource, c.Detail), ": ")
}

// More describes what differs without the change; empty for nothing.
func (c *Cloud) More() string {
	if c.Besides == 0 {
		return ""
	}
	return changes(c.Besides) + " due there without this one: fedsync diff prints them"
}

func (p *Plan) cloudMarkdown(s *markdown.Sheet) {
	c := p.Cloud
	if c == nil {
		return
	}
	if !c.Unasked.IsZero() {
		s.List("Google Cloud could not be queried", []string{fmt.Sprintf("- project %s: %s", markdown.Inline(c.Project), markdown.Inline(c.Unasked.String()))})
	}
	lines := markdown.Lines(c.Changes, func(change CloudChange) string { return "- " + markdown.Inline(change.String()) })
	if more := c.More(); more != "" && len(lines) > 0 {
		lines = append(lines, "\n"+markdown.Inline(more))
	}
	s.Fold(fmt.Sprintf("Google Cloud, project %s: %s", c.Project, changes(len(c.Changes))), len(lines), func(i int) string { return lines[i] })
}

func changes(n int) string {
	if n == 1 {
		return "1 change"
	}
	return fmt.Sprintf("%d changes", n)
}
