package hostile

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Forged is text in a name that imitates a line of fedsync's own. It may be in a
// message, but never at the beginning of a line.
const Forged = "E D99 c1 the cluster is lost"

// odd returns texts that mislead terminals, readers and programs.
func odd() []string {
	return []string{
		"a\n" + Forged + "\n", "a\r" + Forged, "\x1b[2J\x1b[H", "\x1b]0;title\a", "\x1b]8;;http://example.com\aclick", "\u202egnp.exe", "\u2066a\u2069",
		"a\u200bb", "\u2028" + Forged, "\u0085" + Forged, "\x7f\x08\x08", "\u009b31m", "a\xff\xfeb", "\xed\xa0\x80", strings.Repeat("n", 100_000), strings.Repeat("ä", 4000),
		"..", ".", "-rf", "--help", "$(id)", "`id`", "a;b", "a b", " a", "a'b", `a"b`, "<script>alert(1)</script>", "a\\b", "%s%n%d", "kube-system?x=y#", "../kube-system", "a/b/c", "NUL", "ﬁ", "\ufeffa",
	}
}

// oddTexts returns the odd texts that are valid UTF-8.
func oddTexts() []string {
	return slices.DeleteFunc(odd(), func(s string) bool { return !utf8.ValidString(s) })
}

// names returns cases with odd characters in everything that has a name.
func names() []Case {
	field := func(name, refused string, text func(odd string) string) Case {
		return Case{
			Name: "name/" + name, Want: Want{Refused: refused},
			Build: func(r *Repository, _ World) {
				for i, n := range odd() {
					r.File(fmt.Sprintf("apps/a/f%d.yaml", i), strings.ReplaceAll(text(yamlString(n)), "NUMBER", fmt.Sprint(i)))
				}
				r.federation("a")
			},
		}
	}
	const head = "apiVersion: v1\nkind: ConfigMap\n"
	return []Case{
		short(field("object", `apps/a/f\d+\.yaml`, func(s string) string { return head + "metadata: {name: " + s + "}\n" })),
		field("namespace", `apps/a/f\d+\.yaml`, func(s string) string { return head + "metadata: {name: innocent, namespace: " + s + "}\n" }),
		field("kind", ``, func(s string) string { return "apiVersion: v1\nkind: " + s + "\nmetadata: {name: innocent-NUMBER}\n" }),
		field("group", ``, func(s string) string {
			return "apiVersion: " + s + "\nkind: ConfigMap\nmetadata: {name: innocent-NUMBER}\n"
		}),
		field("label", `apps/a/f\d+\.yaml`, func(s string) string {
			return head + "metadata: {name: innocent-NUMBER, labels: {? " + s + " : " + s + "}}\n"
		}),
		field("annotation", ``, func(s string) string {
			return head + "metadata: {name: innocent-NUMBER, annotations: {? " + s + " : " + s + ", federation.alpha.kubernetes.io/cluster-selector: " + s + "}}\n"
		}),
		field("key", ``, func(s string) string { return head + "metadata: {name: innocent-NUMBER}\ndata: {? " + s + " : 1}\n" }),
		field("secret-key", ``, func(s string) string {
			return "apiVersion: v1\nkind: Secret\nmetadata: {name: innocent-NUMBER}\ndata: {? " + s + " : \"%\"}\n"
		}),
		short(filesWithOddNames(false)), filesWithOddNames(true), oddInFederation("clusters", "  - {name: %s, context: %s, labels: {? %s : %s}}\n"), oddApps(),
		statusContexts(), oddKustomizations(), oddSubject(),
	}
}

// yamlString returns a text as a YAML string; invalid bytes are left unchanged.
func yamlString(s string) string {
	if !utf8.ValidString(s) {
		return `"` + s + `"`
	}
	return quoted(s)
}

// filesWithOddNames has odd names in trees, where only slash and NUL are
// impossible.
func filesWithOddNames(worktree bool) Case {
	c := Case{
		Name: "name/file", Worktree: worktree,
		Build: func(r *Repository, _ World) {
			r.federation("a")
			for _, n := range odd() {
				n = strings.Trim(strings.ReplaceAll(n, "/", "|"), ".")
				if n != "" {
					r.File("apps/a/"+n+".yaml", "kind: x\n")
					r.File("apps/a/"+n+"/x.yaml", "kind: x\n")
				}
			}
		},
	}
	if worktree {
		c.Name += "-not-committed"
	}
	return c
}

func oddInFederation(name, format string) Case {
	return Case{
		Name: "name/" + name, Want: Want{Refused: `fedsync\.yaml`},
		Build: func(r *Repository, _ World) {
			texts := oddTexts()
			clusters := repeated(len(texts), func(i int) string { return strings.ReplaceAll(format, "%s", quoted(texts[i])) })
			r.File("fedsync.yaml", federationHead+clusters+"  apps: []\n")
		},
	}
}

func oddApps() Case {
	return Case{
		Name: "name/apps", Want: Want{Refused: `fedsync\.yaml`},
		Build: func(r *Repository, _ World) {
			texts := oddTexts()
			apps := repeated(len(texts), func(i int) string {
				return fmt.Sprintf("  - {name: %s, path: apps/a%d}\n  - {name: %s, path: %[1]s}\n", quoted(texts[i]), i, letters(i))
			})
			r.File("fedsync.yaml", federationHead+"  - name: c1\n  apps:\n"+apps)
		},
	}
}

// statusContexts requests a commit status under another check's name.
func statusContexts() Case {
	return Case{
		Name: "name/status-context", Want: Want{Refused: `fedsync\.yaml.*context`, All: true},
		Build: func(r *Repository, _ World) {
			r.File("apps/a/innocent.yaml", innocent)
			r.File("fedsync.yaml", federationHead+"  - name: c1\n  apps: [{name: a, path: apps/a}]\n  commitStatus: {context: \"ci/required\\n\\x1b[31mX\"}\n")
		},
	}
}

// oddKustomizations has odd text in each text field.
func oddKustomizations() Case {
	return Case{
		Name: "name/kustomization", Want: Want{Refused: `apps/a`},
		Build: func(r *Repository, _ World) {
			var apps []string
			for i, n := range odd() {
				for _, format := range []string{"namePrefix: %s\n", "namespace: %s\n", "labels: [{pairs: {? %s : b}}]\n", "images: [{name: %s}]\n", "patches: [{path: %s}]\n", "? %s\n: x\n", "kind: %s\n", "vars: [{name: %s}]\n", "configMapGenerator: [{name: %s}]\n"} {
					app := fmt.Sprintf("a%d", len(apps))
					apps = append(apps, app)
					r.File("apps/"+app+"/innocent.yaml", configMap(fmt.Sprintf("%s-%d", Marker, i), ""))
					r.File("apps/"+app+"/kustomization.yaml", kustomization(strings.ReplaceAll(format, "%s", yamlString(n))))
				}
			}
			r.federation(apps...)
		},
	}
}

// oddSubject has odd text as the commit's message.
func oddSubject() Case {
	return Case{
		Name: "name/commit",
		Build: func(r *Repository, _ World) {
			r.app(map[string]string{"innocent.yaml": innocent})
			r.Head(r.Commit(r.Files(), strings.Join(odd(), " ")+strings.Repeat("x", 8<<20)))
		},
	}
}
