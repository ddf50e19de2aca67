package hostile

import (
	"fmt"
	"strings"
)

// yamlBombs returns cases with YAML files that unfold, nest or repeat endlessly,
// and with barely valid YAML.
func yamlBombs() []Case {
	var all []Case
	for i, place := range yamlPlaces() {
		for j, bomb := range yamls() {
			all = append(all, Case{
				Name: "yaml/" + bomb.name + "-in-" + place.name, Short: j%len(yamlPlaces()) == i && j < 4,
				Want: Want{Refused: place.refused, All: true},
				Build: func(r *Repository, _ World) {
					r.app(map[string]string{"innocent.yaml": innocent})
					place.write(r, bomb.text())
				},
			})
		}
	}
	return append(all, short(fanOfAliases()), manyValues(), oddYAML())
}

// A place is where a YAML file is read.
type place struct {
	name    string
	refused string
	write   func(r *Repository, text string)
}

func yamlPlaces() []place {
	in := func(file, kustomize string) func(*Repository, string) {
		return func(r *Repository, text string) {
			r.File("apps/a/"+file, text)
			if kustomize != "" {
				r.File("apps/a/kustomization.yaml", kustomization(kustomize))
			}
		}
	}
	return []place{
		{"manifest", `apps/a/bomb\.yaml`, in("bomb.yaml", "")},
		{"kustomization", `apps/a/kustomization\.yaml`, in("kustomization.yaml", "")},
		{"patch", `apps/a/`, in("bomb.yaml", "patches: [{path: bomb.yaml, target: {kind: ConfigMap}}]\n")},
		{"configuration", `apps/a/`, in("bomb.yaml", "configurations: [bomb.yaml]\n")},
		{"federation", `fedsync\.yaml`, func(r *Repository, text string) { r.File("fedsync.yaml", text) }},
	}
}

// A text is generated when it is needed, since some have megabytes.
type text struct {
	name string
	text func() string
}

func yamls() []text {
	return []text{
		{"laughs", func() string { return laughs(9, 9) }},
		{"nested-maps", func() string { return strings.Repeat("a:{", 1) + strings.Repeat("{a: ", 500_000) }},
		{"nested-lists", func() string { return "a: " + strings.Repeat("[", 1_000_000) }},
		{"nested-blocks", func() string { return strings.Repeat("- ", 1_000_000) }},
		{"nested-closed", func() string { return "a: " + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) }},
		{"merges", merges},
		{"self", func() string { return "a: &a [*a, *a]\n" }},
		{"merged-self", func() string { return "a: &a\n  <<: *a\n  b: 1\n" }},
		{"list-of-dashes", func() string { return strings.Repeat("- \n", 1<<20) }},
		{"long-key", func() string { return "? " + strings.Repeat("k", 3<<20) + "\n: v\n" }},
		{"many-keys", func() string { return repeated(300_000, func(i int) string { return fmt.Sprintf("k%d: 1\n", i) }) }},
		{"equal-keys", func() string { return strings.Repeat("k: 1\n", 500_000) }},
		{"many-anchors", func() string { return repeated(200_000, func(i int) string { return fmt.Sprintf("- &a%d x\n", i) }) }},
		{"map-as-key", func() string { return "? {a: b}\n: c\n? [1, 2]\n: d\n" }},
		{"tags", func() string { return "a: !!python/object/apply:os.system [id]\nb: !!binary ///\nc: !<tag:x> y\n" }},
		{"flow-in-quotes", func() string { return "a: \"" + strings.Repeat("\\x41", 1_000_000) }},
		{"comments", func() string { return strings.Repeat("# {\"$ref\": 1}\n", 300_000) + "a" }},
	}
}

// laughs returns a text that unfolds to width to the power of depth.
func laughs(depth, width int) string {
	var b strings.Builder
	b.WriteString("l0: &l0 [x, x]\n")
	for i := range depth {
		one := fmt.Sprintf("*l%d,", i)
		fmt.Fprintf(&b, "l%d: &l%[1]d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(one, width), ","))
	}
	return b.String()
}

// merges returns maps that each merge the previous one three times.
func merges() string {
	var b strings.Builder
	b.WriteString("m0: &m0 {a: 1}\n")
	for i := range 40 {
		fmt.Fprintf(&b, "m%d: &m%[1]d\n  <<: [*m%[2]d, *m%[2]d, *m%[2]d]\n  k%[1]d: *m%[2]d\n", i+1, i)
	}
	return b.String()
}

// fanOfAliases has small files that each unfold to a little less than the limit for
// one file.
func fanOfAliases() Case {
	return Case{
		Name: "yaml/fan-of-aliases", Want: Want{Refused: `apps/a.*\d`},
		Build: func(r *Repository, _ World) {
			files := map[string]string{}
			for i := range 60 {
				one := strings.TrimSuffix(strings.Repeat("x,", 1000), ",")
				files[fmt.Sprintf("f%d.yaml", i)] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: innocent-%d}\na: &a [%s]\nb: [%s]\n",
					i, one, strings.TrimSuffix(strings.Repeat("*a,", 480), ","))
			}
			r.app(files)
		},
	}
}

// manyValues has fifty apps with 450,000 values each.
func manyValues() Case {
	return Case{
		Name: "yaml/fifty-apps-of-values", Want: Want{Refused: `apps/.*\d`},
		Build: func(r *Repository, _ World) {
			blob := r.Blob([]byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: innocent}\nb: [" + strings.Repeat("1,", 450_000) + "1]\n"))
			var apps []string
			for i := range 50 {
				app := fmt.Sprintf("a%d", i)
				apps = append(apps, app)
				r.Put("apps/"+app+"/x.yaml", blob)
			}
			r.federation(apps...)
		},
	}
}

// oddYAML has files that are not YAML, or use another encoding.
func oddYAML() Case {
	return Case{
		Name: "yaml/odd", Want: Want{Refused: `apps/a/`, All: true},
		Build: func(r *Repository, _ World) {
			files := map[string]string{}
			for i, text := range []string{
				"\x00", "\xff\xfe\x61\x00", "\xef\xbb\xbfkind: [", "%YAML 9.9\n---\na: b", "%TAG ! tag:x,\n---\n!a b", "\x1b[31mred", "a: \xc3\x28",
				"kind: \"\\ud800\"", "- 1e999999\n", "a: 0x" + strings.Repeat("f", 1<<20), "a: " + strings.Repeat("9", 1<<20), "a: .nan", "a: \u2028b: c", "'", "\"", "|", ">", "&", "*", "!", "@", "`",
			} {
				files[fmt.Sprintf("f%d.yaml", i)] = text
			}
			r.app(files)
		},
	}
}
