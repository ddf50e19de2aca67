package hostile

import (
	"fmt"
	"strings"
)

// overlays are ordinary overlays in the largest possible number: each patches,
// labels or generates for its cluster, and none is remarkable.
func overlays() []Case {
	differ := Want{Refused: `apps/a/clusters/c\d+: .*64 MiB of distinct objects`}
	kustomized := Want{Refused: `apps/a/clusters/c\d+\S*: .*(more than 40,000 objects|the revision has used up its .* of processor time)`}
	many, few := configMaps(1000, "v"), configMaps(300, "v")
	pods := repeated(150, func(i int) string {
		return fmt.Sprintf("---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: innocent-%d}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: nginx}]}}}\n", i)
	})
	return []Case{
		overlaid("overlays/annotations", differ, configMaps(1000, strings.Repeat("v", 1000)), func(i int) string { return fmt.Sprintf("commonAnnotations: {a: v%d}\n", i) }),
		overlaid("overlays/annotations-of-small-objects", differ, many, func(i int) string { return fmt.Sprintf("commonAnnotations: {a: v%d}\n", i) }),
		overlaid("overlays/labels", differ, many, func(i int) string { return fmt.Sprintf("labels: [{pairs: {a: v%d}}]\n", i) }),
		timed("overlays/images", kustomized, pods, func(i int) string { return fmt.Sprintf("images: [{name: nginx, newTag: v%d}]\n", i) }),
		timed("overlays/merge-patch", kustomized, few, func(i int) string {
			return fmt.Sprintf("patches: [{target: {kind: ConfigMap}, patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: v%d}}'}]\n", i)
		}),
		timed("overlays/json-patch", kustomized, few, func(i int) string {
			return fmt.Sprintf("patches: [{target: {kind: ConfigMap}, patch: '[{op: add, path: /data/a, value: v%d}]'}]\n", i)
		}),
		timed("overlays/generators", kustomized, configMaps(100, "v"), func(i int) string { return fmt.Sprintf("configMapGenerator: [{name: g, literals: [a=v%d]}]\n", i) }),
		timed("overlays/common-labels", kustomized, configMaps(100, "v"), func(i int) string { return fmt.Sprintf("commonLabels: {a: v%d}\n", i) }),
	}
}

// timed is overlaid with a fraction of the usual time limit. The default allows
// kustomize more time to patch or build objects one by one than a case may take,
// because honest overlays need it.
func timed(name string, want Want, base string, more func(i int) string) Case {
	c := overlaid(name, want, base, more)
	c.Args = append(c.Args, "--max-render-time=300ms")
	return c
}

// overlaid is an app with 1,000 overlays, each of which adds something to its base.
func overlaid(name string, want Want, base string, more func(i int) string) Case {
	const clusters = 1000
	return Case{Name: name, Want: want, Args: []string{"--cluster", fmt.Sprintf("c%d", clusters)}, Build: func(r *Repository, _ World) {
		r.clusters(clusters, "a")
		r.File("apps/a/base/all.yaml", base)
		for i := range clusters {
			r.File(fmt.Sprintf("apps/a/clusters/c%d/kustomization.yaml", i+1), "resources: [../../base]\n"+more(i))
		}
	}}
}
