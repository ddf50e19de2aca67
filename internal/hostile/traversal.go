package hostile

import "strings"

// traversals returns cases that name files outside the repository, or outside the
// folder that a kustomization may read, in each field.
func traversals() []Case {
	var all []Case
	for i, f := range fields() {
		all = append(all, Case{
			Name: "traversal/" + f.name, Short: i%7 == 0,
			Build: func(r *Repository, w World) { f.apps(r, outside(w)) },
			Want:  Want{Refused: `apps/a0/`, All: true},
		})
	}
	return append(all, appFolders(), traversalByMade())
}

// outside returns paths that lead out, in every spelling.
func outside(w World) []string {
	up := strings.Repeat("../", 12)
	return []string{
		w.Secret, up + w.Secret[1:], "/" + w.Secret, "." + w.Secret,
		up + "etc/passwd", "/etc/passwd", "/proc/self/environ", "/dev/stdin", "/dev/zero",
		"..", "../..", "../../..", "/", "../", "../../fedsync.yaml", "../../../fedsync.yaml",
		"sub/../../../../" + up + "etc/passwd", "./../../../etc/passwd",
		`..\..\..\etc\passwd`, "~/.ssh/id_rsa", "$HOME/.bashrc", "%2e%2e/%2e%2e/etc/passwd",
		".git/config", "../../.git/config", "innocent.yaml/../../../../etc/passwd",
		"..\u2215..\u2215etc\u2215passwd", "\u202e../etc", "a\x00b", "\x1b[2J", "", " ", "*", "?.yaml",
	}
}

// appFolders has paths of apps in fedsync.yaml that lead out.
func appFolders() Case {
	return Case{
		Name: "traversal/app-path", Short: true,
		Want: Want{Refused: `fedsync\.yaml:\d+: .*path`, All: true},
		Build: func(r *Repository, w World) {
			paths := outside(w)
			apps := repeated(len(paths), func(i int) string { return "  - {name: " + letters(i) + ", path: " + quoted(paths[i]) + "}\n" })
			r.File("fedsync.yaml", federationHead+"  - name: c1\n  apps:\n"+apps)
		},
	}
}

// letters returns a name for an app without digits: a, b, … z, za, zb ….
func letters(i int) string { return strings.Repeat("z", i/26) + string(rune('a'+i%26)) }

// traversalByMade sets the path in a plugin when the plugin's folder is built.
func traversalByMade() Case {
	return Case{
		Name: "traversal/built-plugin", Short: true,
		Want: Want{Refused: `apps/a0/`, All: true},
		Build: func(r *Repository, w World) {
			var ways []builtPlugin
			for _, path := range outside(w)[:8] {
				ways = append(ways, builtPlugin{plugin: plugins()[0], change: byJSONPatch, path: path})
			}
			writeBuilt(r, ways)
		},
	}
}
