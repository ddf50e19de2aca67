package schedule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Policy is the operator's restriction on what a repository may contain. The zero Policy
// allows everything.
type Policy struct {
	Namespaces []string // the only namespaces allowed; empty for all
	Kinds      []string // the only kinds allowed, as KIND or KIND.GROUP; empty for all
}

// permitted removes from a bundle the objects that are reserved for fedsync or that the
// operator's policy does not allow, and reports a finding for each.
func (p *pass) permitted(b federation.Bundle) *bundle {
	out := &bundle{Bundle: b}
	k := key{b.Cluster, b.App}
	marked := p.library.reservedMarks(k, b.Objects)
	p.marks[k] = marked
	var allowed []*federation.Object
	for i, o := range b.Objects {
		f := federation.Finding{ID: federation.FindingReserved, Severity: federation.SeverityError}
		f.Message, f.Remedy = reserved(o.Ref, marked.marks[i])
		if f.Message.IsZero() {
			f.ID = federation.FindingPolicy
			f.Message = untrusted.New(p.Policy.refusal(o.Ref))
			f.Remedy = untrusted.Const("remove the object from the repository, or ask the operator of fedsync to allow it")
		}
		if f.Message.IsZero() {
			if out.refused {
				allowed = append(allowed, o)
			}
			continue
		}
		if !out.refused {
			out.refused = true
			allowed = append(make([]*federation.Object, 0, len(b.Objects)), b.Objects[:i]...)
		}
		f.Cluster, f.App, f.Object, f.File = b.Cluster, b.App, o.Ref, o.File
		p.findings.Add(f)
	}
	if out.refused {
		out.Objects = allowed
	}
	return out
}

// refusal returns why the policy refuses an object; empty if it does not.
func (p Policy) refusal(ref federation.ObjectRef) string {
	namespace := ref.Namespace
	if ref.Group == "" && ref.Kind == "Namespace" {
		namespace = ref.Name
	}
	switch gk := ref.GroupKind(); {
	case len(p.Kinds) > 0 && !slices.Contains(p.Kinds, gk.Kind) && !slices.Contains(p.Kinds, gk.String()):
		return fmt.Sprintf("kind %s is not allowed here; allowed: %s", gk, strings.Join(p.Kinds, ", "))
	case len(p.Namespaces) > 0 && namespace == "":
		return fmt.Sprintf("objects without a namespace are not allowed here; allowed namespaces: %s", strings.Join(p.Namespaces, ", "))
	case len(p.Namespaces) > 0 && !slices.Contains(p.Namespaces, namespace):
		return fmt.Sprintf("namespace %s is not allowed here; allowed: %s", namespace, strings.Join(p.Namespaces, ", "))
	}
	return ""
}
