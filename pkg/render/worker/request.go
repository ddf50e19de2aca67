package worker

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedsync/fedsync/pkg/federation"
)

// newRequest returns a request with the parts of a federation that the renderer
// needs.
func newRequest(root string, f *federation.Federation) *request {
	r := &request{Root: root, Clusters: make([]cluster, len(f.Clusters)), Apps: make([]app, len(f.Apps))}
	for i, c := range f.Clusters {
		r.Clusters[i] = cluster{Name: c.Name, Labels: c.Labels}
	}
	for i, a := range f.Apps {
		r.Apps[i] = app{Name: a.Name, Path: a.Path, Selector: a.Selector.String()}
	}
	return r
}

// federation returns the parts of the federation that the renderer needs.
func (r *request) federation() (*federation.Federation, error) {
	f := &federation.Federation{}
	for _, c := range r.Clusters {
		f.Clusters = append(f.Clusters, federation.Cluster{Name: c.Name, Labels: c.Labels})
	}
	for _, a := range r.Apps {
		s, err := labels.Parse(a.Selector)
		if err != nil {
			return nil, fmt.Errorf("selector of app %s: %w", a.Name, err)
		}
		f.Apps = append(f.Apps, federation.App{Name: a.Name, Path: a.Path, Selector: federation.NewSelector(s)})
	}
	return f, nil
}
