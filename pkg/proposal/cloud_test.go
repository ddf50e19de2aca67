package proposal

import (
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
)

// A change is anybody's: it may not say which project is looked at with the daemon's
// credentials.
func TestOnlyTheProjectOfTheBaseIsAsked(t *testing.T) {
	with := func(project string) *federation.Federation {
		f := &federation.Federation{Name: "web"}
		if project != "" {
			f.GCP = &federation.GCP{Project: project, LoadBalancer: federation.LoadBalancerNodePorts}
		}
		return f
	}
	for _, c := range []struct {
		name, base, head string
		refused, asked   bool
		notice, unasked  string
	}{
		{name: "the same", base: "shop", head: "shop", asked: true},
		{name: "another", base: "shop", head: "theirs", notice: "will be created in project theirs", unasked: "project theirs is not read"},
		{name: "new", head: "theirs", notice: "will create load balancers in project theirs", unasked: "no project is read"},
		{name: "gone", base: "shop", notice: "no longer maintain the load balancers in project shop"},
		{name: "none"},
		{name: "refused", base: "shop", head: "shop", refused: true},
	} {
		in := plan.Input{Base: plan.Side{Federation: with(c.base)}, Head: plan.Side{Federation: with(c.head), Refused: c.refused}}
		got, asked := ProposeCloud("source", in)
		if (asked != nil) != c.asked {
			t.Errorf("%s: asked = %t, want %t", c.name, asked != nil, c.asked)
		}
		if none := c.base == "" && c.head == "" || c.refused; none != (got == nil) {
			t.Errorf("%s: answer = %+v, want none: %t", c.name, got, none)
		}
		if got != nil && (!strings.Contains(got.Notice.String(), c.notice) || !strings.Contains(got.Unasked.String(), c.unasked)) {
			t.Errorf("%s: notice %q, unasked %q, want %q and %q", c.name, got.Notice, got.Unasked, c.notice, c.unasked)
		}
	}
}
