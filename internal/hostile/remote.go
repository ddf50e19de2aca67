package hostile

// remotes returns cases that name remote content in each field.
func remotes() []Case {
	var all []Case
	for i, f := range fields() {
		all = append(all, Case{
			Name: "remote/" + f.name, Short: i%7 == 3,
			Build: func(r *Repository, w World) { f.apps(r, elsewhere(w)) },
			Want:  Want{Refused: `apps/a0/`, All: true},
		})
	}
	return append(all, remoteText(), remoteFunctions())
}

// elsewhere returns addresses in every spelling that kustomize, or git for it,
// accepts.
func elsewhere(w World) []string {
	h := w.Address
	return []string{
		"http://" + h + "/x", "HTTP://" + h + "/x", "https://" + h + "/x", "hTTps://" + h + "/x.git?ref=main",
		" http://" + h + "/x", "\thttp://" + h + "/x", "http:" + h + "/x", "http:/" + h + "/x", "http:////" + h + "/x",
		"http://user:password@" + h + "/x", "http://" + h + "//sub/folder?ref=v1&timeout=1s&submodules=true",
		"git::http://" + h + "/x", "GIT::http://" + h + "/x", "git::ssh://git@" + h + "/x", "hg::http://" + h + "/x",
		"s3::http://" + h + "/x", "s3://bucket/x", "gcs::http://" + h + "/x", "oci://" + h + "/x",
		"git://" + h + "/x", "git@" + h + ":a/b", "git@127.0.0.1:a/b.git", "ssh://git@" + h + "/x", "ssh:git@" + h + "/x",
		"file://" + w.Secret, "file:" + w.Secret, "FILE:///etc", "org-1234@github.com:a/b",
		"github.com/a/b", "GitHub.com/a/b//c?ref=d", "github.com:a/b", "gh:a/b", "https://github.com/a/b",
		h + "/a/b.git", h + "/_git/x", "x/../http://" + h + "/x", "ftp://" + h + "/x",
		"data:text/yaml,kind: A", "ext::" + w.Program, "http://" + h + "/%0d%0aX: y",
	}
}

// remoteText has addresses in fields that also accept YAML.
func remoteText() Case {
	return Case{
		Name: "remote/text", Short: true,
		Want: Want{Refused: `apps/a/kustomization\.yaml`, All: true},
		Build: func(r *Repository, w World) {
			url := "http://" + w.Address + "/x"
			r.app(map[string]string{
				"innocent.yaml": innocent,
				"kustomization.yaml": kustomization("patches: [{patch: " + quoted(url) + "}]\n" +
					"patchesStrategicMerge: [" + quoted(url+"\n") + "]\n" +
					"transformers: [" + quoted(url+"#a: b") + "]\n"),
			})
		},
	}
}

// remoteFunctions has functions that a plugin's annotations or a chart would load.
func remoteFunctions() Case {
	return Case{
		Name: "remote/charts",
		Want: Want{Refused: `apps/a/`, All: true},
		Build: func(r *Repository, w World) {
			url := "http://" + w.Address + "/"
			r.app(map[string]string{
				"innocent.yaml": innocent,
				"kustomization.yaml": kustomization("helmCharts: [{name: x, repo: " + url + "}]\n" +
					"helmChartInflationGenerator: [{chartName: x, chartRepoUrl: " + url + "}]\n" +
					"openapi: {path: " + url + "}\n"),
			})
		},
	}
}
