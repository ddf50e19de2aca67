package hostile

import (
	"fmt"
	"strings"
)

// sizes returns cases with many small objects, apps and clusters.
func sizes() []Case {
	refused := Want{Refused: `apps/a.*\d`}
	return []Case{
		short(prefixed(9900)),
		simple("size/3000-built", Want{}, map[string]string{"all.yaml": configMaps(3000, "v"), "kustomization.yaml": "resources: [all.yaml]\n"}),
		simple("size/9900-plain", Want{}, map[string]string{"all.yaml": configMaps(9900, "v")}),
		simple("size/11000-plain", refused, map[string]string{"all.yaml": configMaps(11_000, "v")}),
		simple("size/large-object", refused, map[string]string{"innocent.yaml": configMap(Marker, strings.Repeat("x", 3<<20))}),
		simple("size/large-labels", Want{}, map[string]string{
			"innocent.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: innocent\n  labels:\n" + repeated(100_000, func(i int) string { return fmt.Sprintf("    k%d: v\n", i) }),
		}),
		manyApps(30_000), clustersTimesApps(), clustersTimesObjects(), manyFiles(), manyPorts(), manyLists(), tinyObjects(), longPath(),
		simple("size/definitions", Want{}, map[string]string{
			"all.yaml": repeated(4000, func(i int) string {
				return fmt.Sprintf("---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: k%ds.example.com}\nspec: {group: example.com, scope: Namespaced, names: {kind: K%d, plural: k%ds}, versions: [{name: v1}]}\n---\napiVersion: example.com/v1\nkind: K%d\nmetadata: {name: innocent}\n", i, i, i, i)
			}),
		}),
	}
}

// prefixed has ConfigMaps in four files, with a prefix and labels.
func prefixed(n int) Case {
	return Case{
		Name: "size/prefixed-and-labelled", Want: Want{Refused: `apps/a.*\d`, All: true},
		Build: func(r *Repository, _ World) {
			files := map[string]string{"kustomization.yaml": "resources: [f0.yaml, f1.yaml, f2.yaml, f3.yaml]\nnamePrefix: p-\nlabels: [{pairs: {a: b}, includeSelectors: true}]\n"}
			for f := range 4 {
				files[fmt.Sprintf("f%d.yaml", f)] = repeated(n/4, func(i int) string { return "---\n" + configMap(fmt.Sprintf("innocent-%d-%d", f, i), "") })
			}
			r.app(files)
		},
	}
}

// manyApps is a fedsync.yaml with n apps, each with a folder.
func manyApps(n int) Case {
	return Case{
		Name: "size/30000-apps", Short: true, Want: Want{Refused: `fedsync\.yaml.*\d`},
		Build: func(r *Repository, _ World) {
			names := make([]string, n)
			tree := r.Tree(Entry{"x.yaml", 0o100644, r.Blob([]byte(innocent))})
			for i := range names {
				names[i] = fmt.Sprintf("a%d", i)
				r.Folder("apps/"+names[i], tree)
			}
			r.federation(names...)
		},
	}
}

func clustersTimesApps() Case {
	return Case{
		Name: "size/2000-clusters-2000-apps", Want: Want{Refused: `fedsync\.yaml.*\d`},
		Build: func(r *Repository, _ World) {
			names := make([]string, 2000)
			for i := range names {
				names[i] = fmt.Sprintf("a%d", i)
				r.File("apps/"+names[i]+"/x.yaml", configMap(fmt.Sprintf("innocent-%d", i), ""))
			}
			r.clusters(2000, names...)
		},
	}
}

func clustersTimesObjects() Case {
	return Case{
		Name: "size/1000-clusters-9000-objects", Args: []string{"--cluster", "c1000"}, Want: Want{Refused: `\d`},
		Build: func(r *Repository, _ World) {
			r.clusters(1000, "a")
			r.File("apps/a/all.yaml", configMaps(9000, "v"))
		},
	}
}

// manyFiles is a million names for one blob, in one folder.
func manyFiles() Case {
	return Case{
		Name: "size/million-files", Want: Want{Refused: `apps/a.*\d`, All: true},
		Build: func(r *Repository, _ World) {
			blob := r.Blob([]byte(innocent))
			entries := make([]Entry, 1_000_000)
			for i := range entries {
				entries[i] = Entry{fmt.Sprintf("f%06d.yaml", i), 0o100644, blob}
			}
			r.Folder("apps/a", r.Tree(entries...))
			r.federation("a")
		},
	}
}

// tinyObjects has as many objects as possible, as small as possible.
func tinyObjects() Case {
	return Case{
		Name: "size/90-apps-of-9900-objects", Want: Want{Refused: `apps/.*\d`},
		Build: func(r *Repository, _ World) {
			apps := make([]string, 90)
			for i := range apps {
				apps[i] = fmt.Sprintf("a%d", i)
				r.File("apps/"+apps[i]+"/x.yaml", repeated(9900, func(j int) string {
					return fmt.Sprintf("---\n{apiVersion: v1, kind: A, metadata: {name: x%d-%d}}\n", i, j)
				}))
			}
			r.federation(apps...)
		},
	}
}

// longPath is a file of many objects with a long path, which each of them
// records.
func longPath() Case {
	return Case{
		Name: "size/9900-objects-of-a-long-path",
		Build: func(r *Repository, _ World) {
			dir := "apps/a/" + strings.Repeat(strings.Repeat("\x01", 250)+"/", 15)
			r.File(dir+"base/all.yaml", configMaps(9900, "v"))
			r.File("apps/b/b.yaml", configMap("b", ""))
			r.File("fedsync.yaml", federationHead+"  - name: c1\n  apps:\n  - {name: a, path: "+quoted(strings.TrimSuffix(dir, "/"))+"}\n  - {name: b, path: apps/b}\n")
		},
	}
}

// manyPorts has Services with node ports that must all be assigned, or clash.
func manyPorts() Case {
	return Case{
		Name: "size/400000-ports", Want: Want{Refused: `\d`},
		Build: func(r *Repository, _ World) {
			ports := repeated(50, func(i int) string { return fmt.Sprintf("{name: p%d, port: %d, nodePort: %d},", i, i+1, 30000+i) })
			r.app(map[string]string{"all.yaml": repeated(8000, func(i int) string {
				return fmt.Sprintf("---\napiVersion: v1\nkind: Service\nmetadata: {name: innocent-%d}\nspec: {type: NodePort, ports: [%s]}\n", i, ports)
			})})
		},
	}
}

// manyLists has Lists nested in Lists.
func manyLists() Case {
	return Case{
		Name: "size/lists", Want: Want{Refused: `apps/a`},
		Build: func(r *Repository, _ World) {
			r.app(map[string]string{
				"deep.json": strings.Repeat(`{"apiVersion":"v1","kind":"List","items":[`, 5000) + strings.Repeat("]}", 5000),
				"wide.yaml": "apiVersion: v1\nkind: List\nitems:\n" + strings.Repeat("- {apiVersion: v1, kind: List, items: []}\n", 50_000),
			})
		},
	}
}
