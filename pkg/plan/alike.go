package plan

import (
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Merged returns findings for display: findings that several clusters have in common are
// merged, and the Cluster of the result names all of them: "all 13 clusters".
func (p *Plan) Merged(findings []federation.Finding) []federation.Finding {
	type key struct {
		id, app, file   string
		severity        federation.Severity
		object          federation.ObjectRef
		line            int
		message, remedy untrusted.Text
	}
	var all []federation.Finding
	index := map[key]int{}
	clusters := map[key][]string{}
	for _, f := range findings {
		k := key{f.ID, f.App, f.File, f.Severity, f.Object, f.Line, f.Message, f.Remedy}
		if f.Cluster == "" {
			all = append(all, f)
			continue
		}
		if len(clusters[k]) == 0 {
			index[k] = len(all)
			all = append(all, f)
		}
		clusters[k] = append(clusters[k], f.Cluster)
		all[index[k]].Cluster = p.Where(clusters[k])
	}
	return all
}
