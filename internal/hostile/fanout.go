package hostile

import (
	"fmt"
	"strings"
)

// fanOuts returns cases that copy one large value into many places: the input is
// small, but the output is the product.
func fanOuts() []Case {
	const large = 1 << 20
	big := strings.Repeat("x", large)
	many := func(more string) map[string]string {
		return map[string]string{"all.yaml": configMaps(1500, "v"), "kustomization.yaml": "resources: [all.yaml]\n" + more}
	}
	refused := Want{Refused: `apps/a.*\d`}
	return []Case{
		simple("fanout/annotations", refused, many("commonAnnotations: {a: "+big+"}\n")),
		simple("fanout/labels", refused, many("labels: [{pairs: {a: "+big+"}}]\n")),
		simple("fanout/common-labels", refused, many("commonLabels: {a: "+big+"}\n")),
		simple("fanout/prefix", refused, many("namePrefix: "+big+"\n")),
		simple("fanout/suffix", refused, many("nameSuffix: "+big+"\n")),
		simple("fanout/namespace", refused, many("namespace: "+big+"\n")),
		simple("fanout/json-patch", refused, many("patches: [{target: {kind: ConfigMap}, patch: '[{\"op\": \"add\", \"path\": \"/data/big\", \"value\": \""+big+"\"}]'}]\n")),
		simple("fanout/merge-patch", refused, many("patches: [{target: {kind: ConfigMap}, patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {big: "+big+"}}'}]\n")),
		simple("fanout/transformer", refused, many("transformers:\n- |\n  apiVersion: builtin\n  kind: AnnotationsTransformer\n  metadata: {name: x}\n  annotations: {a: "+big+"}\n  fieldSpecs: [{path: metadata/annotations, create: true}]\n")),
		simple("fanout/origin", Want{}, many("buildMetadata: [originAnnotations, transformerAnnotations, managedByLabel]\nnamePrefix: "+strings.Repeat("p", 200)+"\n")),
		simple("fanout/replacement", refused, map[string]string{
			"all.yaml": configMaps(1500, "v"), "big.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: big, annotations: {a: " + big + "}}\n",
			"kustomization.yaml": "resources: [all.yaml, big.yaml]\nreplacements:\n- source: {kind: Service, fieldPath: metadata.annotations.a}\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.k]}]\n",
		}),
		short(growing()), replacementsTimesTargets(), variables(), overlaysOfOneBase(), imagesTimesContainers(), longIndex(), generatedNames(),
	}
}

// growing replaces a field of a map by the map, repeatedly, so that it doubles.
func growing() Case {
	return Case{
		Name: "fanout/replacements-that-grow", Want: Want{Refused: `apps/a`, All: true},
		Build: func(r *Repository, _ World) {
			text := kustomization("replacements:\n") + repeated(40, func(i int) string {
				return fmt.Sprintf("- source: {kind: ConfigMap, fieldPath: data}\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.k%d], options: {create: true}}]\n", i)
			})
			r.app(map[string]string{"innocent.yaml": innocent, "kustomization.yaml": text})
		},
	}
}

// replacementsTimesTargets has many replacements that each check many objects.
func replacementsTimesTargets() Case {
	return Case{
		Name: "fanout/replacements-quadratic", Want: Want{Refused: `apps/a.*\d`},
		Build: func(r *Repository, _ World) {
			text := "resources: [all.yaml]\nreplacements:\n" + repeated(2000, func(i int) string {
				return fmt.Sprintf("- source: {kind: ConfigMap, name: innocent-%d, fieldPath: data.k}\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.x%d], options: {create: true}}]\n", i, i)
			})
			r.app(map[string]string{"all.yaml": configMaps(4000, "v"), "kustomization.yaml": text})
		},
	}
}

// variables has a large value that is referenced many times.
func variables() Case {
	return Case{
		Name: "fanout/variables", Want: Want{Refused: `apps/a`, All: true},
		Build: func(r *Repository, _ World) {
			args := strings.Repeat("$(V)", 100_000)
			r.app(map[string]string{
				"innocent.yaml": configMap(Marker, strings.Repeat("x", 1<<20)),
				"pod.yaml":      "apiVersion: v1\nkind: Pod\nmetadata: {name: innocent}\nspec: {containers: [{name: c, image: i, args: [\"" + args + "\"]}]}\n",
				"kustomization.yaml": "resources: [innocent.yaml, pod.yaml]\nvars:\n- name: V\n  objref: {apiVersion: v1, kind: ConfigMap, name: innocent}\n" +
					"  fieldref: {fieldpath: data.k}\n",
			})
		},
	}
}

// overlaysOfOneBase has three hundred clusters that each annotate one ConfigMap of
// almost four megabytes.
func overlaysOfOneBase() Case {
	return Case{
		Name: "fanout/overlays", Want: Want{Refused: `apps/a.*\d`},
		Build: func(r *Repository, _ World) {
			r.clusters(300, "a")
			r.File("apps/a/base/innocent.yaml", configMap(Marker, strings.Repeat("x", 3_900_000)))
			r.File("apps/a/base/kustomization.yaml", kustomization(""))
			for i := range 300 {
				r.File(fmt.Sprintf("apps/a/clusters/c%d/kustomization.yaml", i+1), fmt.Sprintf("resources: [../../base]\ncommonAnnotations: {a: v%d}\n", i))
			}
		},
	}
}

// imagesTimesContainers has many images for many containers.
func imagesTimesContainers() Case {
	return Case{
		Name: "fanout/images", Want: Want{Refused: `apps/a.*\d`},
		Build: func(r *Repository, _ World) {
			pods := repeated(1000, func(i int) string {
				return fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: innocent-%d}\nspec: {containers: [%s]}\n", i,
					repeated(30, func(j int) string { return fmt.Sprintf("{name: c%d, image: i%d},", j, j) }))
			})
			images := repeated(3000, func(i int) string { return fmt.Sprintf("- {name: 'i%d', newTag: v}\n", i) })
			r.app(map[string]string{"all.yaml": pods, "kustomization.yaml": "resources: [all.yaml]\nimages:\n" + images})
		},
	}
}

// longIndex refers to an index far beyond the end of a text.
func longIndex() Case {
	return Case{
		Name: "fanout/replacement-index",
		Build: func(r *Repository, _ World) {
			r.app(map[string]string{
				"innocent.yaml": innocent,
				"kustomization.yaml": kustomization("replacements:\n- source: {kind: ConfigMap, fieldPath: metadata.name}\n" +
					"  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.k], options: {delimiter: x, index: 2000000000}}]\n"),
			})
		},
	}
}

// generatedNames has generators whose names must be searched for everywhere.
func generatedNames() Case {
	return Case{
		Name: "fanout/nameref-quadratic", Want: Want{Refused: `apps/a.*\d`},
		Build: func(r *Repository, _ World) {
			refs := repeated(50, func(i int) string { return fmt.Sprintf("{name: v%d, configMap: {name: innocent-%d}},", i, i*90) })
			deployments := repeated(1500, func(i int) string {
				return fmt.Sprintf("---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: innocent-%d}\nspec: {template: {spec: {volumes: [%s]}}}\n", i, refs)
			})
			r.app(map[string]string{
				"maps.yaml": configMaps(4900, ""), "all.yaml": deployments,
				"kustomization.yaml": "resources: [maps.yaml, all.yaml]\nnamePrefix: p-\n",
			})
		},
	}
}
