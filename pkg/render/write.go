package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
)

// WriteYAML writes what clusters should run as a stream of YAML documents, with
// "# cluster: NAME" before each cluster's part. With single there is one cluster
// and no such line, so that the stream can be piped to kubectl.
func WriteYAML(w io.Writer, plans []federation.ClusterPlan, single bool) error {
	var b bytes.Buffer
	separator := ""
	for _, plan := range plans {
		if !single {
			b.WriteString(separator + "# cluster: " + plan.Cluster + "\n")
			separator = "" // the comment line begins the first object's document
		}
		for _, app := range plan.Apps {
			for _, o := range app.Objects {
				data, err := yaml.JSONToYAML(o.JSON)
				if err != nil {
					return fmt.Errorf("write %s of %s: %w", o.Ref, o.File, err)
				}
				b.WriteString(separator)
				b.Write(data)
				separator = "---\n"
			}
		}
		if !single {
			separator = "---\n"
		}
		if _, err := b.WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes what clusters should run as {"clusters": [{"name": …,
// "objects": List}]}, or with single as one cluster's List.
func WriteJSON(w io.Writer, plans []federation.ClusterPlan, single bool) error {
	type cluster struct {
		Name    string     `json:"name"`
		Objects objectList `json:"objects"`
	}
	var all struct {
		Clusters []cluster `json:"clusters"`
	}
	all.Clusters = make([]cluster, len(plans))
	for i, plan := range plans {
		all.Clusters[i] = cluster{Name: plan.Cluster, Objects: listOf(plan)}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if single && len(plans) == 1 {
		return encoder.Encode(all.Clusters[0].Objects)
	}
	return encoder.Encode(all)
}

// objectList is Kubernetes' own List.
type objectList struct {
	Kind       string            `json:"kind"`
	APIVersion string            `json:"apiVersion"`
	Items      []json.RawMessage `json:"items"`
}

func listOf(plan federation.ClusterPlan) objectList {
	list := objectList{Kind: "List", APIVersion: "v1", Items: []json.RawMessage{}}
	for _, app := range plan.Apps {
		for _, o := range app.Objects {
			list.Items = append(list.Items, o.JSON)
		}
	}
	return list
}
