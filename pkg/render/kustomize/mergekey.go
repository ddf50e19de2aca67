package kustomize

import (
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// A portList is a list of ports in an object. Merge patches identify its entries only by
// their numbers, so with TCP and UDP on one number an entry is lost
// (kubernetes-sigs/kustomize#4752).
type portList struct {
	path     string // "spec.ports", or "ports of container web"
	twice    bool   // whether it has a number twice
	replaces bool   // whether, as a patch, it replaces the whole list
}

// portLists returns the lists of ports of a Service, or of an object with
// containers.
func portLists(content map[string]any) []portList {
	spec, _ := content["spec"].(map[string]any)
	if content["kind"] == "Service" {
		return addPorts(nil, "spec.ports", spec, "port")
	}
	for _, step := range []string{"jobTemplate", "spec", "template", "spec"} {
		if inner, ok := spec[step].(map[string]any); ok {
			spec = inner
		}
	}
	var all []portList
	for _, field := range []string{"containers", "initContainers"} {
		containers, _ := spec[field].([]any)
		for _, one := range containers {
			container, _ := one.(map[string]any)
			name, _ := container["name"].(string)
			all = addPorts(all, "ports of container "+name, container, "containerPort")
		}
	}
	return all
}

// duplicatePorts returns the lists of an object that have a port number twice.
func duplicatePorts(content map[string]any) []string {
	var paths []string
	for _, list := range portLists(content) {
		if list.twice {
			paths = append(paths, list.path)
		}
	}
	return paths
}

func addPorts(all []portList, path string, content map[string]any, number string) []portList {
	ports, _ := content["ports"].([]any)
	if len(ports) == 0 {
		return all
	}
	list := portList{path: path}
	seen := map[string]bool{}
	for _, one := range ports {
		port, _ := one.(map[string]any)
		list.replaces = list.replaces || port["$patch"] == "replace"
		if port[number] != nil {
			key := fmt.Sprint(port[number])
			list.twice = list.twice || seen[key]
			seen[key] = true
		}
	}
	return append(all, list)
}

// A portPatch is a merge patch of lists of ports.
type portPatch struct {
	ref    federation.ObjectRef // the object that it patches, if it has no target
	target *types.Selector
	lists  []portList
	line   int
	field  string
}

// mostTwice is how many objects, and how many patches of ports, are checked in one
// kustomization.
const mostTwice = 50

// touched returns the objects that the patch may apply to.
func (p portPatch) touched(objects []declared) []declared {
	var expression *types.SelectorRegex
	if p.target != nil {
		var err error
		if expression, err = types.NewSelectorRegex(p.target); err != nil {
			return nil // kustomize reports it
		}
	}
	var all []declared
	for _, d := range objects {
		if expression == nil && p.ref.Kind == d.ref.Kind && p.ref.Name == d.ref.Name ||
			expression != nil && expression.MatchName(d.ref.Name) && expression.MatchGvk(resid.NewGvk(d.ref.Group, p.target.Version, d.ref.Kind)) {
			all = append(all, d)
		}
	}
	return all
}

// A Loss is a merge patch that may lose ports.
type Loss struct {
	file  string
	line  int
	field string
	path  string // of the list of ports
}

// losses returns the merge patches of a tree that may lose ports.
func (t tree) losses() []Loss {
	var objects []declared
	for _, k := range t {
		objects = append(objects, k.twice...)
	}
	objects = objects[:min(len(objects), mostTwice)]
	var all []Loss
	for _, k := range t {
		for _, p := range k.portPatches {
			these := p.touched(objects)
			for _, list := range p.lists {
				twice := list.twice || slices.ContainsFunc(these, func(d declared) bool { return slices.Contains(d.twice, list.path) })
				if twice && !list.replaces {
					all = append(all, Loss{k.file, p.line, p.field, list.path})
				}
			}
		}
	}
	return all
}

// Finding reports the loss for an app.
func (l Loss) Finding(app string) federation.Finding {
	return federation.Finding{
		ID: federation.FindingRender, Severity: federation.SeverityWarning, App: app, File: l.file, Line: l.line,
		Message: untrusted.Textf("%s: the merge patch identifies the %s by number, and a number is used twice: the entry with the same number but another protocol may be lost", l.field, l.path),
		Remedy:  untrusted.Const("change the list with a JSON patch, or write the whole list after an entry with $patch: replace"),
	}
}
