package hostile

import (
	"fmt"
	"strings"
)

// selectors returns cases with annotations and fields that could cost more to
// read than their length suggests.
func selectors() []Case {
	annotated := func(name, value string) Case {
		return simple("selector/"+name, Want{Refused: `apps/a|innocent|ReplicaSet`}, map[string]string{
			"innocent.yaml": "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata:\n  name: innocent\n  annotations:\n    " + value + "\nspec: {replicas: 3}\n",
		})
	}
	requirements := func(n int, one string) string {
		return "'[" + strings.TrimSuffix(repeated(n, func(i int) string { return fmt.Sprintf(one, i) + "," }), ",") + "]'"
	}
	const selector = "federation.alpha.kubernetes.io/cluster-selector: "
	const preferences = "federation.kubernetes.io/replica-set-preferences: "
	return []Case{
		short(annotated("requirements", selector+requirements(50_000, `{"key":"k%d","operator":"exists"}`))),
		annotated("values", selector+`'[{"key":"k","operator":"in","values":[`+strings.TrimSuffix(repeated(150_000, func(i int) string { return fmt.Sprintf(`"v%d",`, i) }), ",")+`]}]'`),
		annotated("nested", selector+"'"+strings.Repeat("[", 500_000)+"'"),
		harmless(annotated("equal-keys", selector+`'[{`+strings.Repeat(`"key":"k",`, 200_000)+`"operator":"exists"}]'`)),
		annotated("wrong", selector+"'"+strings.Repeat("\u202e\u00e4", 500_000)+"'"),
		annotated("preferences", preferences+`'{"clusters":{`+strings.TrimSuffix(repeated(50_000, func(i int) string { return fmt.Sprintf(`"c%d":{"weight":%d},`, i, i) }), ",")+`}}'`),
		annotated("preferences-of-large-numbers", preferences+`'{"rebalance":true,"clusters":{"c1":{"weight":9223372036854775807,"minReplicas":9223372036854775807},"*":{"weight":9223372036854775807,"maxReplicas":-1}}}'`),
		{
			Name: "selector/of-an-app", Want: Want{Refused: `fedsync\.yaml`},
			Build: func(r *Repository, _ World) {
				r.File("apps/a/innocent.yaml", innocent)
				r.File("fedsync.yaml", federationHead+"  - name: c1\n  apps:\n  - name: a\n    path: apps/a\n    clusterSelector:\n      matchExpressions:\n"+
					repeated(40_000, func(i int) string { return fmt.Sprintf("      - {key: k%d, operator: Exists}\n", i) }))
			},
		},
		{
			Name: "selector/of-each-object",
			Want: Want{Refused: `apps/a|\d`},
			Build: func(r *Repository, _ World) {
				value := requirements(60, `{"key":"k%d","operator":"exists"}`)
				r.clusters(100, "a")
				r.File("apps/a/all.yaml", repeated(2000, func(i int) string {
					return fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: innocent-%d, annotations: {%s%s}}\n", i, strings.TrimSpace(selector)+" ", value)
				}))
			},
		},
	}
}

// findings returns cases with as many mistakes as lines.
func findings() []Case {
	return []Case{
		short(simple("finding/600000-documents", Want{Refused: `apps/a/x\.yaml.*`, All: true}, map[string]string{"x.yaml": strings.Repeat("--- 1\n", 600_000)})),
		simple("finding/200000-labels", Want{Refused: `apps/a/x\.yaml`, All: true}, map[string]string{
			"x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: innocent\n  labels:\n" + repeated(200_000, func(i int) string { return fmt.Sprintf("    k%d: [1]\n", i) }),
		}),
		simple("finding/fields", Want{Refused: `apps/a/`, All: true}, map[string]string{
			"innocent.yaml": innocent, "kustomization.yaml": kustomization(repeated(100_000, func(i int) string { return fmt.Sprintf("f%d: 1\n", i) })),
		}),
		simple("finding/resources", Want{Refused: `apps/a/`, All: true}, map[string]string{
			"innocent.yaml": innocent, "kustomization.yaml": "resources:\n- innocent.yaml\n" + repeated(100_000, func(i int) string { return fmt.Sprintf("- nothing%d.yaml\n", i) }),
		}),
		simple("finding/twice", Want{Refused: `apps/a/`, All: true}, map[string]string{"x.yaml": strings.Repeat("---\n"+innocent, 9000)}),
		filesOfMistakes(), clustersOfMistakes(), overlaysOfNobody(), appsOfMistakes(), overlaysOfMistakes(), disputes(),
		{
			Name: "finding/federation", Want: Want{Refused: `fedsync\.yaml`, All: true},
			Build: func(r *Repository, _ World) {
				r.File("fedsync.yaml", federationHead+repeated(100_000, func(i int) string { return fmt.Sprintf("  - {nam: c%d, x: y}\n", i) }))
			},
		},
		{
			Name: "finding/unknown-clusters", Want: Want{Refused: `fedsync\.yaml`, All: true},
			Build: func(r *Repository, _ World) {
				r.File("fedsync.yaml", federationHead+repeated(2000, func(i int) string { return fmt.Sprintf("  - {name: cluster-%d}\n", i) })+
					"  apps: []\n  failover:\n    confirmLost:\n"+repeated(50_000, func(i int) string { return fmt.Sprintf("    - clusterr-%d\n", i) }))
			},
		},
	}
}

// filesOfMistakes has many files with a mistake in each.
func filesOfMistakes() Case {
	return Case{
		Name: "finding/files", Want: Want{Refused: `apps/a/`, All: true},
		Build: func(r *Repository, _ World) {
			blob := r.Blob([]byte("kind: x\n"))
			for i := range 50_000 {
				r.Put(fmt.Sprintf("apps/a/f%d.yaml", i), blob)
			}
			r.federation("a")
		},
	}
}

// clustersOfMistakes has each mistake in each cluster.
func clustersOfMistakes() Case {
	return Case{
		Name: "finding/clusters", Args: []string{"--cluster", "c500"}, Want: Want{Refused: `apps/`, All: true},
		Build: func(r *Repository, _ World) {
			var apps []string
			for i := range 50 {
				app := fmt.Sprintf("a%d", i)
				apps = append(apps, app)
				r.File("apps/"+app+"/x.yaml", strings.Repeat("--- 1\n", 1000))
			}
			r.clusters(500, apps...)
		},
	}
}

// overlaysOfNobody has folders for clusters that do not exist.
func overlaysOfNobody() Case {
	return Case{
		Name: "finding/overlays-of-nobody", Want: Want{Refused: `apps/a/clusters`},
		Build: func(r *Repository, _ World) {
			r.clusters(300, "a")
			r.File("apps/a/base/innocent.yaml", innocent)
			blob := r.Blob([]byte("resources: [../../base]\n"))
			for i := range 30_000 {
				r.Put(fmt.Sprintf("apps/a/clusters/x%d/kustomization.yaml", i), blob)
			}
		},
	}
}

// mistakes returns a file with one more mistake than are reported, different
// from all other files.
func mistakes(i, j int) string {
	return repeated(51, func(n int) string { return fmt.Sprintf("---\n- %d %d %d\n", n, i, j) })
}

// appsOfMistakes has a thousand apps with a thousand mistakes each.
func appsOfMistakes() Case {
	return Case{
		Name: "finding/apps", Want: Want{Refused: `apps/`, All: true},
		Build: func(r *Repository, _ World) {
			apps := make([]string, 1000)
			for i := range apps {
				apps[i] = fmt.Sprintf("a%d", i)
				for j := range 20 {
					r.File(fmt.Sprintf("apps/%s/f%d.yaml", apps[i], j), mistakes(i, j))
				}
			}
			r.federation(apps...)
		},
	}
}

// overlaysOfMistakes has five hundred overlays with a thousand mistakes each.
func overlaysOfMistakes() Case {
	return Case{
		Name: "finding/overlays", Want: Want{Refused: `apps/`, All: true},
		Build: func(r *Repository, _ World) {
			r.clusters(500, "a")
			r.File("apps/a/base/innocent.yaml", innocent)
			for i := range 500 {
				dir := fmt.Sprintf("apps/a/clusters/c%d/", i+1)
				r.File(dir+"kustomization.yaml", "resources: [../../base, "+repeated(20, func(j int) string { return fmt.Sprintf("f%d.yaml,", j) })+"]\n")
				for j := range 20 {
					r.File(fmt.Sprintf("%sf%d.yaml", dir, j), mistakes(i, j))
				}
			}
		},
	}
}

// disputes has twenty apps with the same objects, in three hundred clusters.
func disputes() Case {
	return Case{
		Name: "finding/disputes", Want: Want{Refused: `has the same object`, All: true},
		Build: func(r *Repository, _ World) {
			apps := make([]string, 20)
			blob := r.Blob([]byte(configMaps(900, "v")))
			for i := range apps {
				apps[i] = fmt.Sprintf("a%d", i)
				r.Put("apps/"+apps[i]+"/x.yaml", blob)
			}
			r.clusters(300, apps...)
		},
	}
}
