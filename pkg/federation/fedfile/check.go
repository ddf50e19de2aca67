package fedfile

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// A checker finds the mistakes that a schema cannot express. The schema may have
// refused the file, so a checker does not assume that any value is present.
type checker struct{ mistakes }

func (c *checker) check(f *federation.Federation) {
	c.annotations(f.Annotations)
	c.clusters(f.Clusters)
	c.apps(f.Apps)
	c.pairs(f)
	c.confirmLost(f)
	c.tags(f.GCP)
}

func (c *checker) annotations(annotations map[string]string) {
	if v, ok := annotations[federation.AnnotationPrune]; ok && v != "Allowed" {
		c.problem(fmt.Sprintf("%q is not supported; the only value is Allowed", v), "metadata", "annotations", federation.AnnotationPrune)
	}
}

func (c *checker) clusters(clusters []federation.Cluster) {
	names, contexts := map[string]int{}, map[string]int{}
	for i, cluster := range clusters {
		at := func(field string) []string { return []string{"spec", "clusters", strconv.Itoa(i), field} }
		if first, twice := names[cluster.Name]; twice && cluster.Name != "" {
			c.problem(fmt.Sprintf("cluster %q is listed twice, first as spec.clusters[%d]", cluster.Name, first), at("name")...)
			continue
		}
		names[cluster.Name] = i

		context, field := cluster.Context, "context"
		if context == "" {
			context, field = cluster.Name, "name"
		}
		if first, twice := contexts[context]; twice && context != "" {
			c.problem(fmt.Sprintf("context %q is also the context of spec.clusters[%d] (%s): give each cluster its own context", context, first, clusters[first].Name), at(field)...)
		} else {
			contexts[context] = i
		}
		c.labels(cluster.Labels, at("labels"))
	}
}

func (c *checker) labels(labels map[string]string, at []string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		for _, reason := range validation.IsQualifiedName(key) {
			c.problem(fmt.Sprintf("%s is not a valid label name: %s", limit.Quote(key), reason), append(at, key)...)
		}
		for _, reason := range validation.IsValidLabelValue(labels[key]) {
			c.problem(fmt.Sprintf("%s is not a valid label value: %s", limit.Quote(labels[key]), reason), append(at, key)...)
		}
	}
}

func (c *checker) apps(apps []federation.App) {
	names := map[string]int{}
	for i, app := range apps {
		at := func(field string) []string { return []string{"spec", "apps", strconv.Itoa(i), field} }
		if first, twice := names[app.Name]; twice && app.Name != "" {
			c.problem(fmt.Sprintf("app %q is listed twice, first as spec.apps[%d]", app.Name, first), at("name")...)
		} else {
			names[app.Name] = i
		}
		if reason := badPath(app.Path); reason != "" && app.Path != "" {
			c.problem(limit.Quote(app.Path)+" "+reason, at("path")...)
		}
	}
	c.folders(apps)
}

// folders finds apps whose folders are equal or nested. Sorted by path, a folder comes
// directly before the folders in it.
func (c *checker) folders(apps []federation.App) {
	var order []int
	for i, app := range apps {
		if app.Path != "" && badPath(app.Path) == "" {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(apps[a].Path+"/", apps[b].Path+"/") })
	reported := map[int]bool{}
	var outer []int // the folders that may contain the current one, each within the one before
	for _, i := range order {
		for len(outer) > 0 && !contains(apps[outer[len(outer)-1]].Path, apps[i].Path) {
			outer = outer[:len(outer)-1]
		}
		if len(outer) == 0 {
			outer = append(outer, i)
			continue
		}
		near := outer[len(outer)-1]
		if second := max(near, i); !reported[second] {
			reported[second] = true
			c.overlap(apps, min(near, i), second)
		}
		if apps[near].Path != apps[i].Path {
			outer = append(outer, i)
		}
	}
}

// contains reports whether folder inner is folder outer or is within it.
func contains(outer, inner string) bool { return inner == outer || within(inner, outer) }

// overlap reports that the folder of an app overlaps with that of an earlier app.
func (c *checker) overlap(apps []federation.App, first, second int) {
	app, other := apps[second], apps[first]
	words := fmt.Sprintf("%s overlaps with %s of spec.apps[%d] (%s): an app's folder must not be within another app's",
		limit.Quote(app.Path), limit.Quote(other.Path), first, other.Name)
	if app.Path == other.Path {
		words = fmt.Sprintf("%s is also the folder of spec.apps[%d] (%s): give each app its own folder", limit.Quote(app.Path), first, other.Name)
	}
	c.problem(words, "spec", "apps", strconv.Itoa(second), "path")
}

func (c *checker) confirmLost(f *federation.Federation) {
	names, known := make([]string, 0, len(f.Clusters)), map[string]bool{}
	for _, cluster := range f.Clusters {
		names = append(names, cluster.Name)
		known[cluster.Name] = true
	}
	for i, name := range f.Failover.ConfirmedLost {
		if !known[name] {
			c.add(func() string {
				return fmt.Sprintf("there is no cluster %s%s", limit.Quote(name), didYouMean(name, names))
			},
				"spec", "failover", "confirmLost", strconv.Itoa(i))
		}
	}
}

// tags finds network tags that are listed twice.
func (c *checker) tags(gcp *federation.GCP) {
	if gcp == nil {
		return
	}
	seen := map[string]int{}
	for i, tag := range gcp.Tags {
		if first, twice := seen[tag]; twice && tag != "" {
			c.problem(fmt.Sprintf("tag %q is listed twice, first as spec.gcp.tags[%d]", tag, first), "spec", "gcp", "tags", strconv.Itoa(i))
			continue
		}
		seen[tag] = i
	}
}

func (c *checker) problem(message string, at ...string) {
	c.add(func() string { return message }, at...)
}

// badPath returns what is wrong with the path of an app's folder, or "" for a valid
// path.
func badPath(p string) string {
	switch {
	case len(p) > limit.PathBytes:
		return fmt.Sprintf("is longer than %s bytes", limit.Number(limit.PathBytes))
	case strings.HasPrefix(p, "/"):
		return "must be relative to the root of the repository: remove the leading slash"
	case strings.Contains(p, `\`):
		return "must be separated by slashes"
	case path.Clean(p) == ".." || strings.HasPrefix(path.Clean(p), "../"):
		return "is outside the repository"
	case path.Clean(p) != p:
		return fmt.Sprintf("is not clean: write %q", path.Clean(p))
	case p == ".":
		return "is the root of the repository, which holds fedsync.yaml: give the app its own folder"
	case p == ".git" || within(p, ".git"):
		return "is reserved for Git"
	}
	return ""
}

// within reports whether folder inner is below folder outer.
func within(inner, outer string) bool { return strings.HasPrefix(inner, outer+"/") }

// fieldOf returns a field's name, such as "spec.apps[1].path", for its steps.
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
