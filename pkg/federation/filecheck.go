package federation

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fedsync/fedsync/internal/strictyaml"
)

// A checker finds the mistakes that a schema cannot express. It may see a file
// that the schema refused, so it assumes of no value that it is there.
type checker struct {
	file  string // the name in errors
	doc   *strictyaml.Document
	found FileErrors
}

func (c *checker) check(f *fedsyncFile) {
	c.annotations(f.Metadata.Annotations)
	c.clusters(f.Spec.Clusters)
	c.apps(f.Spec.Apps)
	if r := f.Spec.NodePorts.Range; r != "" {
		if _, err := parseRange(r); err != nil {
			c.problem(err.Error(), "spec", "nodePorts", "range")
		}
	}
	c.confirmLost(f)
	c.tags(f.Spec.GCP)
}

func (c *checker) annotations(annotations map[string]string) {
	if v, ok := annotations[AnnotationPrune]; ok && v != "Allowed" {
		c.problem(fmt.Sprintf("%q is not known here; the one value is Allowed", v), "metadata", "annotations", AnnotationPrune)
	}
}

func (c *checker) clusters(clusters []fileCluster) {
	names, contexts := map[string]int{}, map[string]int{}
	for i, cluster := range clusters {
		at := func(field string) []string { return []string{"spec", "clusters", strconv.Itoa(i), field} }
		if first, twice := names[cluster.Name]; twice && cluster.Name != "" {
			c.problem(fmt.Sprintf("cluster %q stands twice, first as spec.clusters[%d]", cluster.Name, first), at("name")...)
			continue
		}
		names[cluster.Name] = i

		context, field := cluster.Context, "context"
		if context == "" {
			context, field = cluster.Name, "name"
		}
		if first, twice := contexts[context]; twice && context != "" {
			c.problem(fmt.Sprintf("the context %q is also that of spec.clusters[%d] (%s): two names would fight over one cluster", context, first, clusters[first].Name), at(field)...)
		} else {
			contexts[context] = i
		}
		for key, value := range cluster.Labels {
			where := append(at("labels"), key)
			for _, reason := range validation.IsQualifiedName(key) {
				c.problem(fmt.Sprintf("%q is no label name: %s", key, reason), where...)
			}
			for _, reason := range validation.IsValidLabelValue(value) {
				c.problem(fmt.Sprintf("%q is no label value: %s", value, reason), where...)
			}
		}
	}
}

func (c *checker) apps(apps []fileApp) {
	names := map[string]int{}
	for i, app := range apps {
		at := func(field string) []string { return []string{"spec", "apps", strconv.Itoa(i), field} }
		if first, twice := names[app.Name]; twice && app.Name != "" {
			c.problem(fmt.Sprintf("app %q stands twice, first as spec.apps[%d]", app.Name, first), at("name")...)
		} else {
			names[app.Name] = i
		}
		if app.ClusterSelector != nil {
			if _, err := metav1.LabelSelectorAsSelector(app.ClusterSelector); err != nil {
				c.problem(err.Error(), at("clusterSelector")...)
			}
		}
		if app.Path == "" {
			continue
		}
		if reason := badPath(app.Path); reason != "" {
			c.problem(fmt.Sprintf("%q %s", app.Path, reason), at("path")...)
			continue
		}
		for j, other := range apps[:i] {
			if other.Path == "" || badPath(other.Path) != "" {
				continue
			}
			switch {
			case app.Path == other.Path:
				c.problem(fmt.Sprintf("%q is also the folder of spec.apps[%d] (%s): each app has a folder of its own", app.Path, j, other.Name), at("path")...)
			case within(app.Path, other.Path) || within(other.Path, app.Path):
				c.problem(fmt.Sprintf("%q overlaps with %q of spec.apps[%d] (%s): an app's folder lies in no other app's", app.Path, other.Path, j, other.Name), at("path")...)
			}
		}
	}
}

func (c *checker) confirmLost(f *fedsyncFile) {
	known := make([]string, 0, len(f.Spec.Clusters))
	for _, cluster := range f.Spec.Clusters {
		known = append(known, cluster.Name)
	}
	for i, name := range f.Spec.Failover.ConfirmLost {
		if !slices.Contains(known, name) {
			c.problem(fmt.Sprintf("there is no cluster %q%s", name, didYouMean(name, known)), "spec", "failover", "confirmLost", strconv.Itoa(i))
		}
	}
}

// tags finds network tags that stand twice.
func (c *checker) tags(gcp *fileGCP) {
	if gcp == nil {
		return
	}
	seen := map[string]int{}
	for i, tag := range gcp.Tags {
		if first, twice := seen[tag]; twice && tag != "" {
			c.problem(fmt.Sprintf("tag %q stands twice, first as spec.gcp.tags[%d]", tag, first), "spec", "gcp", "tags", strconv.Itoa(i))
			continue
		}
		seen[tag] = i
	}
}

func (c *checker) problem(message string, at ...string) {
	c.found = append(c.found, FileError{File: c.file, Line: c.doc.Line(at...), Field: fieldOf(at), Message: message})
}

// badPath says what is wrong with the path of an app's folder; empty for
// nothing.
func badPath(p string) string {
	switch {
	case strings.HasPrefix(p, "/"):
		return "must be relative to the root of the repository: leave the leading slash out"
	case strings.Contains(p, `\`):
		return "must be separated by slashes"
	case path.Clean(p) == ".." || strings.HasPrefix(path.Clean(p), "../"):
		return "leaves the repository"
	case path.Clean(p) != p:
		return fmt.Sprintf("is not clean: write %q", path.Clean(p))
	case p == ".":
		return "is the root of the repository, which holds fedsync.yaml itself: give the app a folder"
	case p == ".git" || within(p, ".git"):
		return "is Git's own"
	}
	return ""
}

// within says whether folder inner lies in folder outer.
func within(inner, outer string) bool { return strings.HasPrefix(inner, outer+"/") }

// fieldOf gives "spec.apps[1].path" for its steps.
func fieldOf(steps []string) string {
	var b strings.Builder
	for _, step := range steps {
		_, err := strconv.Atoi(step)
		switch {
		case err == nil:
			b.WriteString("[" + step + "]")
		case strings.ContainsAny(step, "./ []"):
			b.WriteString("[" + strconv.Quote(step) + "]")
		case b.Len() > 0:
			b.WriteString("." + step)
		default:
			b.WriteString(step)
		}
	}
	return b.String()
}
