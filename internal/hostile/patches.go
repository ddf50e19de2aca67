package hostile

import (
	"fmt"
	"strings"
)

// patchBombs returns cases with patches that copy their own copies, or with
// many patches.
func patchBombs() []Case {
	var all []Case
	for i, place := range patchPlaces() {
		for j, bomb := range jsonPatches() {
			all = append(all, Case{
				Name: "patch/" + bomb.name + "-in-" + place.name, Short: j == i%4,
				Want: Want{Refused: place.refused, All: true},
				Build: func(r *Repository, _ World) {
					r.app(map[string]string{"innocent.yaml": innocent})
					place.write(r, bomb.text())
				},
			})
		}
	}
	return append(all, short(copiesOverPatches()), copiesOverFolders(), manyPatches())
}

func patchPlaces() []place {
	inline := func(text string) string {
		return "|\n    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
	}
	kustomize := func(more func(string) string) func(*Repository, string) {
		return func(r *Repository, text string) {
			r.File("apps/a/patch.yaml", text)
			r.File("apps/a/kustomization.yaml", kustomization(more(text)))
		}
	}
	return []place{
		{"text", `apps/a/`, kustomize(func(s string) string { return "patches:\n- target: {kind: ConfigMap}\n  patch: " + inline(s) })},
		{"file", `apps/a/`, kustomize(func(string) string { return "patches: [{path: patch.yaml, target: {kind: ConfigMap}}]\n" })},
		{"old-field", `apps/a/`, kustomize(func(string) string {
			return "patchesJson6902: [{path: patch.yaml, target: {version: v1, kind: ConfigMap, name: innocent}}]\n"
		})},
		{"plugin", `apps/a/`, kustomize(func(s string) string {
			r := strings.ReplaceAll(inline(s), "\n", "\n  ")
			return "transformers:\n- |\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: p}\n  target: {kind: ConfigMap}\n  patch: " + r + "\n"
		})},
		{"plugin-file", `apps/a/`, func(r *Repository, text string) {
			r.File("apps/a/patch.yaml", text)
			r.File("apps/a/plugin.yaml", "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: p}\ntarget: {kind: ConfigMap}\npath: patch.yaml\n")
			r.File("apps/a/kustomization.yaml", kustomization("transformers: [plugin.yaml]\n"))
		}},
		{"overlay", `apps/a/`, func(r *Repository, text string) {
			r.File("apps/a/base/innocent.yaml", innocent)
			r.File("apps/a/base/kustomization.yaml", kustomization(""))
			r.File("apps/a/clusters/c1/patch.yaml", text)
			r.File("apps/a/clusters/c1/kustomization.yaml", "resources: [../../base]\npatches: [{path: patch.yaml, target: {kind: ConfigMap}}]\n")
			r.File("apps/a/innocent.yaml", "# beside the base\n")
		}},
		{"component", `apps/a/`, func(r *Repository, text string) {
			r.File("apps/a/c/patch.yaml", text)
			r.File("apps/a/c/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches: [{path: patch.yaml, target: {kind: ConfigMap}}]\n")
			r.File("apps/a/kustomization.yaml", kustomization("components: [c]\n"))
		}},
	}
}

func jsonPatches() []text {
	doubled := func(n int) func() string {
		return func() string { return "- {op: add, path: /b, value: [x]}\n" + doublings(n) }
	}
	return []text{
		{"copy-24", doubled(24)},
		{"copy-40", doubled(40)},
		{"copy-400", doubled(400)},
		{"copy-root", func() string { return strings.Repeat("- {op: copy, from: \"\", path: /metadata/annotations}\n", 40) }},
		{"copy-pairs", func() string {
			return "- {op: add, path: /b, value: {}}\n- {op: add, path: /b/a, value: x}\n" +
				repeated(40, func(i int) string { return fmt.Sprintf("- {op: copy, from: /b, path: /b/k%d}\n", i) })
		}},
		{"operations", func() string {
			return repeated(100_000, func(i int) string { return fmt.Sprintf("- {op: add, path: /data/k%d, value: x}\n", i) })
		}},
		{"inserts", func() string {
			return "- {op: add, path: /b, value: []}\n" + strings.Repeat("- {op: add, path: /b/0, value: x}\n", 100_000)
		}},
		{"index", func() string {
			return "- {op: add, path: /b, value: [x]}\n- {op: add, path: /b/2147483647, value: x}\n"
		}},
		{"long-path", func() string { return "- {op: add, path: " + strings.Repeat("/a", 500_000) + ", value: x}\n" }},
		{"tests", func() string {
			return "- {op: add, path: /b, value: " + strings.Repeat("x", 1<<20) + "}\n" + strings.Repeat("- {op: test, path: /nothing, value: x}\n", 50_000)
		}},
	}
}

// doublings copy the list b into itself, n times.
func doublings(n int) string { return strings.Repeat("- {op: copy, from: /b, path: /b/-}\n", n) }

// copiesOverPatches has copies spread over patches that each have few.
func copiesOverPatches() Case {
	return Case{
		Name: "patch/copies-over-patches", Want: Want{Refused: `apps/a/`, All: true},
		Build: func(r *Repository, _ World) {
			text := kustomization("patches:\n- {target: {kind: ConfigMap}, patch: '[{\"op\": \"add\", \"path\": \"/b\", \"value\": [\"x\"]}]'}\n")
			text += strings.Repeat("- {target: {kind: ConfigMap}, patch: '[{\"op\": \"copy\", \"from\": \"/b\", \"path\": \"/b/-\"}]'}\n", 40)
			r.app(map[string]string{"innocent.yaml": innocent, "kustomization.yaml": text})
		},
	}
}

// copiesOverFolders has copies spread over kustomizations that build on one another,
// and over patch files.
func copiesOverFolders() Case {
	return Case{
		Name: "patch/copies-over-folders", Want: Want{Refused: `apps/a/`, All: true},
		Build: func(r *Repository, _ World) {
			dir := "apps/a/"
			for range 12 {
				r.File(dir+"kustomization.yaml", "resources: [d]\npatches:\n- {target: {kind: ConfigMap}, path: p.yaml}\n- {target: {kind: ConfigMap}, path: p.yaml}\n- {target: {kind: ConfigMap}, path: p.yaml}\n")
				r.File(dir+"p.yaml", "- {op: copy, from: /data, path: /data/a}\n- {op: copy, from: /data, path: /data/b}\n")
				dir += "d/"
			}
			r.File(dir+"kustomization.yaml", kustomization(""))
			r.File(dir+"innocent.yaml", innocent)
			r.federation("a")
		},
	}
}

// manyPatches has as many patches as objects, and each applies to all objects.
func manyPatches() Case {
	return Case{
		Name: "patch/many-for-many", Want: Want{Refused: `apps/a.*\d`},
		Build: func(r *Repository, _ World) {
			text := "resources: [all.yaml]\npatches:\n" + repeated(3000, func(i int) string {
				return fmt.Sprintf("- {target: {kind: ConfigMap}, patch: '[{\"op\": \"add\", \"path\": \"/data/k%d\", \"value\": \"v\"}]'}\n", i)
			})
			r.app(map[string]string{"all.yaml": configMaps(3000, "v"), "kustomization.yaml": text})
		},
	}
}

// configMaps returns a file of n objects with a value each.
func configMaps(n int, value string) string {
	return repeated(n, func(i int) string { return "---\n" + configMap(fmt.Sprintf("%s-%d", Marker, i), value) })
}
