package hostile

import "fmt"

// programs returns cases that name programs which kustomize, Helm or git would
// run.
func programs() []Case {
	return []Case{
		short(functions()), plugInPrograms(), charts(), programsOfGit(),
		simple("program/schema", Want{Refused: `apps/a/kustomization\.yaml:\d+: openapi`, All: true}, map[string]string{
			"innocent.yaml": innocent, "schema.json": `{"definitions": {}}`,
			"kustomization.yaml": kustomization("openapi: {path: schema.json}\n"),
		}),
		simple("program/annotated-resource", Want{}, map[string]string{
			"innocent.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: innocent\n  annotations:\n    config.kubernetes.io/function: 'exec: {path: ./x}'\n    config.kubernetes.io/local-config: 'false'\n",
			"x":             "#!/bin/sh\n", "kustomization.yaml": kustomization("namePrefix: a-\n"),
		}),
	}
}

// functions has annotations that request a program in each list of plugins.
func functions() Case {
	return Case{
		Name: "program/functions", Want: Want{Refused: `apps/aa?/`, All: true},
		Build: func(r *Repository, w World) {
			var names []string
			for _, list := range []string{"generators", "transformers", "validators"} {
				for _, key := range []string{"config.kubernetes.io/function", "config.k8s.io/function"} {
					for _, what := range []string{"exec: {path: " + w.Program + "}", "exec: {path: ./run}", "container: {image: x}", "starlark: {path: ./x.star}"} {
						app := letters(len(names))
						names = append(names, app)
						dir := "apps/" + app + "/"
						r.File(dir+"run", "#!/bin/sh\n"+w.Program+"\n")
						r.File(dir+"innocent.yaml", configMap(Marker+"-"+app, "v"))
						r.File(dir+"plugin.yaml", "apiVersion: example.com/v1\nkind: Any\nmetadata:\n  name: x\n  annotations:\n    "+key+": "+quoted(what)+"\n")
						r.File(dir+"kustomization.yaml", kustomization(list+": [plugin.yaml]\n"))
					}
				}
			}
			r.federation(names...)
		},
	}
}

// plugInPrograms has plugins of the kind that kustomize searches for below its
// own folder, and in its users' homes.
func plugInPrograms() Case {
	return Case{
		Name: "program/plugins", Want: Want{Refused: `apps/a/`, All: true},
		Build: func(r *Repository, w World) {
			script := "#!/bin/sh\n" + w.Program + "\n"
			for _, place := range []string{"", ".config/kustomize/plugin/", "kustomize/plugin/"} {
				r.File(place+"example.com/v1/any/Any", script)
				r.File(place+"example.com/v1/any/Any.so", "\x7fELF")
			}
			r.app(map[string]string{
				"innocent.yaml": innocent,
				"plugin.yaml":   "apiVersion: example.com/v1\nkind: Any\nmetadata: {name: x}\nargsOneLiner: " + quoted(w.Program) + "\n",
				"kustomization.yaml": kustomization("generators: [plugin.yaml]\ntransformers: [plugin.yaml]\nvalidators: [plugin.yaml]\n" +
					"buildMetadata: [originAnnotations, transformerAnnotations, managedByLabel]\n"),
			})
		},
	}
}

// charts has Helm charts in each place that can name one.
func charts() Case {
	return Case{
		Name: "program/helm", Want: Want{Refused: `apps/a/`, All: true},
		Build: func(r *Repository, _ World) {
			texts := []string{
				"helmCharts: [{name: x, releaseName: y}]\n", "HELMCHARTS: [{name: x}]\n",
				"helmChartInflationGenerator: [{chartName: x, helmBin: ./helm}]\n",
				"helmGlobals: {chartHome: ., configHome: /}\n",
				"generators: [chart.yaml]\n",
				"generators:\n- |\n  apiVersion: builtin\n  kind: HelmChartInflationGenerator\n  metadata: {name: x}\n  name: x\n",
			}
			var names []string
			for i, text := range texts {
				app := letters(i)
				names = append(names, app)
				r.File("apps/"+app+"/innocent.yaml", configMap(Marker+"-"+app, "v"))
				r.File("apps/"+app+"/chart.yaml", "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: x}\nname: x\n")
				r.File("apps/"+app+"/kustomization.yaml", kustomization(text))
			}
			r.federation(names...)
		},
	}
}

// programsOfGit has programs that git would run when it reads the repository.
func programsOfGit() Case {
	return Case{
		Name: "program/git-settings", Short: true, Worktree: true,
		Build: func(r *Repository, w World) {
			r.app(map[string]string{"innocent.yaml": innocent})
			r.File(".gitattributes", "* filter=x diff=x merge=x textconv=x working-tree-encoding=UTF-16\n")
			r.File(".gitmodules", "[submodule \"m\"]\n\tpath = m\n\turl = ext::"+w.Program+"\n\tupdate = !"+w.Program+"\n")
			r.Submodule("m")
			r.Own("config", fmt.Sprintf("[core]\n\trepositoryformatversion = 0\n\tfsmonitor = %[1]s\n\tsshCommand = %[1]s\n\tpager = %[1]s\n\teditor = %[1]s\n"+
				"\thooksPath = hooks\n\talternateRefsCommand = %[1]s\n\tworktree = /\n[filter \"x\"]\n\tclean = %[1]s\n\tsmudge = %[1]s\n\tprocess = %[1]s\n\trequired = true\n"+
				"[diff \"x\"]\n\tcommand = %[1]s\n\ttextconv = %[1]s\n[credential]\n\thelper = !%[1]s\n[gpg]\n\tprogram = %[1]s\n"+
				"[include]\n\tpath = %[2]s\n[uploadpack]\n\tpackObjectsHook = %[1]s\n[alias]\n\tstatus = !%[1]s\n", w.Program, w.Secret))
			for _, hook := range []string{"post-checkout", "pre-commit", "post-index-change", "reference-transaction", "fsmonitor-watchman", "post-merge"} {
				r.Own("hooks/"+hook, "#!/bin/sh\nexec "+w.Program+"\n")
			}
		},
	}
}
