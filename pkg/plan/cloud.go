package plan

import (
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/markdown"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Cloud is what the change would do on Google Cloud, where fedsync makes the load
// balancers: apart from what differs there without it.
type Cloud struct {
	Project string         `json:"project"`
	Unasked untrusted.Text `json:"unasked,omitzero"` // why it is not known
	// Notice says what a person should know of the federation's way to Google Cloud,
	// where the change chooses another one.
	Notice    untrusted.Text  `json:"notice,omitzero"`
	Changes   []CloudChange   `json:"changes"` // in the order of creation
	Addresses []AddressChange `json:"addresses"`
	Besides   int             `json:"besides"` // changes to be made there without this one
}

// CloudChange is what becomes of one resource on Google Cloud.
type CloudChange struct {
	Verb     string         `json:"verb"`     // "create", "update", "attach", "detach" or "delete"
	Resource string         `json:"resource"` // "backend service NAME"
	Detail   untrusted.Text `json:"detail,omitzero"`
}

// AddressChange is an Ingress whose load balancer is reached elsewhere.
type AddressChange struct {
	Ingress federation.ObjectRef `json:"ingress"`
	Before  string               `json:"before"`
	After   string               `json:"after,omitempty"` // empty where it is reached no more
}

// count counts what would be done there.
func (c *Cloud) count() int {
	if c == nil {
		return 0
	}
	return len(c.Changes)
}

// shortened returns it with so many changes as people read.
func (c *Cloud) shortened() *Cloud {
	if c == nil {
		return nil
	}
	short := *c
	short.Changes = append([]CloudChange{}, c.Changes[:min(len(c.Changes), limit.Findings)]...)
	short.Addresses = append([]AddressChange{}, c.Addresses[:min(len(c.Addresses), limit.Findings)]...)
	return &short
}

// cloudRisks says what is dangerous of it: that who resolved an address reaches nobody.
func cloudRisks(c *Cloud) []Risk {
	if c == nil {
		return nil
	}
	var all []Risk
	for _, a := range c.Addresses {
		r := Risk{Kind: RiskAddress, Severity: federation.SeverityWarning, Object: a.Ingress}
		if r.Message = untrusted.Textf("its load balancer's address changes from %s to %s: DNS has to follow", a.Before, a.After); a.After == "" {
			r.Message = untrusted.Textf("its load balancer at %s will be deleted: that address answers no more", a.Before)
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

// String gives it in one line: "update backend service NAME: timeoutSec".
func (c CloudChange) String() string {
	return strings.TrimSuffix(fmt.Sprintf("%s %s: %s", c.Verb, c.Resource, c.Detail), ": ")
}

// More says what differs without the change; empty for nothing.
func (c *Cloud) More() string {
	if c.Besides == 0 {
		return ""
	}
	return changes(c.Besides) + " to be made there without this one: fedsync diff prints them"
}

func (p *Plan) cloudMarkdown(s *markdown.Sheet) {
	c := p.Cloud
	if c == nil {
		return
	}
	if !c.Unasked.IsZero() {
		s.List("Google Cloud could not be asked", []string{fmt.Sprintf("- project %s: %s", markdown.Inline(c.Project), markdown.Inline(c.Unasked.String()))})
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
