package hostile

import (
	"fmt"
	"strings"
)

// links returns cases with symbolic links and submodules in place of files and
// folders.
func links() []Case {
	return []Case{
		short(linksFor("manifest", func(r *Repository, dir, target string) {
			r.Link(dir+"linked.yaml", target)
			r.File(dir+"innocent.yaml", innocent)
		})),
		linksFor("kustomization", func(r *Repository, dir, target string) { r.Link(dir+"kustomization.yaml", target) }),
		linksFor("resource", func(r *Repository, dir, target string) {
			r.Link(dir+"linked", target)
			r.File(dir+"kustomization.yaml", "resources: [linked]\n")
		}),
		linksFor("generated", func(r *Repository, dir, target string) {
			r.Link(dir+"linked", target)
			r.File(dir+"kustomization.yaml", "configMapGenerator: [{name: innocent, files: [linked]}]\n")
		}),
		linksFor("folder", func(r *Repository, dir, target string) { r.Link(strings.TrimSuffix(dir, "/"), target) }),
		linkedFederation(), submodules(), innocentLinks(),
	}
}

// linksFor writes an app for each of the bad targets.
func linksFor(name string, write func(r *Repository, dir, target string)) Case {
	return Case{
		Name: "link/" + name, Want: Want{Refused: `apps/a0`},
		Build: func(r *Repository, w World) {
			var names []string
			for i, target := range badTargets(w) {
				app := fmt.Sprintf("a%d", i)
				names = append(names, app)
				write(r, "apps/"+app+"/", target)
			}
			for i := range 300 {
				r.Link(fmt.Sprintf("chain/%d", i), fmt.Sprint(i+1))
			}
			r.Link("loop/a", "b")
			r.Link("loop/b", "a")
			r.Link("wide/a", "../wide/a/b")
			r.federation(names...)
		},
	}
}

// badTargets returns the targets of links that must not be followed.
func badTargets(w World) []string {
	up := strings.Repeat("../", 12)
	return []string{
		w.Secret, up + w.Secret[1:], "/etc/passwd", "/", "/proc/self/environ", "/dev/zero", up + "etc",
		"linked.yaml", "linked", "kustomization.yaml", "../../loop/a", "../../chain/0", "../../wide/a",
		"../../.git/config", "../../../x", "", "\x00", "a\nb", "\x1b[31m", strings.Repeat("a/", 60_000), strings.Repeat("../", 60_000) + "x",
	}
}

// linkedFederation has a link for fedsync.yaml.
func linkedFederation() Case {
	return Case{
		Name: "link/fedsync.yaml", Short: true, Want: Want{Refused: `fedsync\.yaml`, All: true},
		Build: func(r *Repository, w World) { r.Link("fedsync.yaml", w.Secret) },
	}
}

// submodules has submodules in place of files and folders.
func submodules() Case {
	return Case{
		Name: "link/submodules", Short: true, Want: Want{Refused: `apps/a`, All: true},
		Build: func(r *Repository, w World) {
			r.File(".gitmodules", "[submodule \"a\"]\n\tpath = apps/a\n\turl = http://"+w.Address+"/x\n[submodule \"../../x\"]\n\tpath = apps/b/base\n\turl = ext::"+w.Program+"\n")
			r.Submodule("apps/a")
			r.Submodule("apps/b/base")
			r.File("apps/b/kustomization.yaml", "resources: [base]\n")
			r.Submodule("apps/c/x.yaml")
			r.File("apps/c/kustomization.yaml", "resources: [x.yaml]\n")
			r.federation("a", "b", "c")
		},
	}
}

// innocentLinks has a thousand permitted links, and a folder that contains itself
// through a link.
func innocentLinks() Case {
	return Case{
		Name: "link/innocent",
		Build: func(r *Repository, _ World) {
			r.app(map[string]string{"innocent.yaml": innocent})
			for i := range 1000 {
				r.Link(fmt.Sprintf("apps/a/l%d", i), "../a/innocent.yaml")
			}
			r.Link("apps/a/again", ".")
		},
	}
}

// cycles returns cases with kustomizations that build on themselves, on one
// another deeply, or many times.
func cycles() []Case {
	refused := Want{Refused: `apps/a`, All: true}
	return []Case{
		short(simple("cycle/self", refused, map[string]string{"innocent.yaml": innocent, "kustomization.yaml": "resources: [innocent.yaml, .]\n"})),
		simple("cycle/by-name", refused, map[string]string{"innocent.yaml": innocent, "kustomization.yaml": "resources: [innocent.yaml, ../a]\n"}),
		simple("cycle/two", refused, map[string]string{
			"innocent.yaml": innocent, "kustomization.yaml": kustomization("components: [b]\n"),
			"b/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents: [..]\n",
		}),
		simple("cycle/generator", refused, map[string]string{
			"innocent.yaml": innocent, "kustomization.yaml": kustomization("generators: [b]\n"),
			"b/kustomization.yaml": "transformers: [..]\n",
		}),
		short(deep()), wide(), diamond(), components(),
	}
}

// deep is a chain of kustomizations.
func deep() Case {
	return Case{
		Name: "cycle/deep", Want: Want{Refused: `apps/a.*\b16\b`, All: true},
		Build: func(r *Repository, _ World) {
			dir := "apps/a/"
			for range 200 {
				r.File(dir+"kustomization.yaml", "resources: [d]\n")
				dir += "d/"
			}
			r.File(dir+"kustomization.yaml", kustomization(""))
			r.File(dir+"innocent.yaml", innocent)
			r.federation("a")
		},
	}
}

// wide has more kustomizations than a build may visit.
func wide() Case {
	return Case{
		Name: "cycle/wide", Want: Want{Refused: `apps/a.*\b500\b`, All: true},
		Build: func(r *Repository, _ World) {
			text := "resources:\n" + repeated(3000, func(i int) string { return fmt.Sprintf("- d%d\n", i) })
			for i := range 3000 {
				r.File(fmt.Sprintf("apps/a/d%d/kustomization.yaml", i), kustomization(""))
				r.File(fmt.Sprintf("apps/a/d%d/innocent.yaml", i), configMap(fmt.Sprintf("innocent-%d", i), ""))
			}
			r.File("apps/a/kustomization.yaml", text)
			r.federation("a")
		},
	}
}

// diamond is a chain of folders that each build on the next one twice.
func diamond() Case {
	return Case{
		Name: "cycle/diamond", Short: true, Want: Want{Refused: `apps/a.*\b500\b`, All: true},
		Build: func(r *Repository, _ World) {
			for i := range 14 {
				dir := fmt.Sprintf("apps/a/d%d/", i)
				r.File(dir+"kustomization.yaml", "resources: [left, right]\n")
				for _, side := range []string{"left", "right"} {
					r.File(dir+side+"/kustomization.yaml", fmt.Sprintf("nameSuffix: -%s\nresources: [../../d%d]\n", side, i+1))
				}
			}
			r.File("apps/a/d14/kustomization.yaml", kustomization(""))
			r.File("apps/a/d14/innocent.yaml", innocent)
			r.File("apps/a/kustomization.yaml", "resources: [d0]\n")
			r.federation("a")
		},
	}
}

// components has six hundred components.
func components() Case {
	return Case{
		Name: "cycle/components", Want: Want{Refused: `apps/a.*\b500\b`, All: true},
		Build: func(r *Repository, _ World) {
			text := kustomization("components:\n") + repeated(600, func(i int) string { return fmt.Sprintf("- c%d\n", i) })
			for i := range 600 {
				r.File(fmt.Sprintf("apps/a/c%d/kustomization.yaml", i),
					"apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncommonAnnotations: {a"+fmt.Sprint(i)+": b}\n")
			}
			r.app(map[string]string{"kustomization.yaml": text, "innocent.yaml": innocent})
		},
	}
}
