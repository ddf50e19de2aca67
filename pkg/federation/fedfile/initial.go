package fedfile

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Initial returns a fedsync.yaml with a cluster for each context of a kubeconfig and an app
// for each folder. Every cluster gets a unique name that is derived from its context. The
// affixes that managed Kubernetes adds to a cluster's name are removed if the name is still
// unique without them.
func Initial(name string, contexts, folders []string) string {
	short := map[string]int{}
	for _, context := range contexts {
		short[clusterOf(context)]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\nspec:\n  clusters:\n", federation.APIVersion, federation.Kind, labelOf(name))
	taken := map[string]bool{}
	for _, context := range contexts {
		cluster := clusterOf(context)
		if short[cluster] > 1 {
			cluster = labelOf(context)
		}
		for n, first := 2, cluster; taken[cluster]; n++ {
			cluster = fmt.Sprintf("%.60s-%d", first, n)
		}
		taken[cluster] = true
		fmt.Fprintf(&b, "  - name: %s\n", scalar(cluster))
		if cluster != context {
			fmt.Fprintf(&b, "    context: %s\n", scalar(context))
		}
	}
	if len(folders) == 0 {
		b.WriteString("  # Each app is a folder of manifests:\n  # - name: web\n  #   path: apps/web\n  apps: []\n")
		return b.String()
	}
	b.WriteString("  apps:\n")
	for _, folder := range folders {
		fmt.Fprintf(&b, "  - name: %s\n    path: %s\n", scalar(labelOf(path.Base(folder))), scalar(folder))
	}
	return b.String()
}

// scalar returns a string as a YAML scalar, quoted if necessary.
func scalar(text string) string {
	line, err := yaml.Marshal(text)
	if err != nil || strings.Count(string(line), "\n") > 1 {
		return strconv.Quote(text)
	}
	return strings.TrimSpace(string(line))
}

// managed are the forms of the contexts that the tools of GKE and EKS write. The group
// matches the cluster's name.
var managed = []*regexp.Regexp{
	regexp.MustCompile(`^gke_[^_]+_[^_]+_(.+)$`),
	regexp.MustCompile(`^arn:aws[^:]*:eks:[^:]+:[^:]+:cluster/(.+)$`),
}

func clusterOf(context string) string {
	for _, form := range managed {
		if found := form.FindStringSubmatch(context); found != nil {
			return labelOf(found[1])
		}
	}
	return labelOf(context)
}

// labelOf turns any text into a valid name, which is a DNS label.
func labelOf(text string) string {
	label := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	label = strings.Trim(label[:min(len(label), 63)], "-")
	if label == "" {
		return "x"
	}
	return label
}
