package hostile

import (
	"fmt"
	"strings"
)

const fileSize = 4<<20 - 64 // a little less than the limit for one file

// generators returns cases that read one large content under many names, or
// generate many objects.
func generators() []Case {
	return []Case{
		generatedFiles(), short(generatedFilesOf("secret", 1000)), resourcesOf4MiB(), appsOf60MiB(),
		simple("generator/literals", Want{Refused: `apps/a.*\d`, All: true}, map[string]string{
			"kustomization.yaml": "configMapGenerator:\n- name: innocent\n  literals:\n" + repeated(150_000, func(i int) string { return fmt.Sprintf("  - k%d=v\n", i) }),
		}),
		simple("generator/many", Want{Refused: `apps/a.*\d`, All: true}, map[string]string{
			"kustomization.yaml": "configMapGenerator:\n" + repeated(40_000, func(i int) string { return fmt.Sprintf("- {name: innocent-%d, literals: [a=b]}\n", i) }),
		}),
		simple("generator/merges", Want{Refused: `apps/a.*\d`, All: true}, map[string]string{
			"kustomization.yaml": "configMapGenerator:\n- {name: innocent, literals: [a=b]}\n" + repeated(20_000, func(i int) string { return fmt.Sprintf("- {name: innocent, behavior: merge, literals: [k%d=v]}\n", i) }),
		}),
		simple("generator/envs", Want{Refused: `apps/a.*\d`, All: true}, map[string]string{
			"kustomization.yaml": "configMapGenerator:\n- {name: innocent, envs: [x.env]}\n",
			"x.env":              repeated(400_000, func(i int) string { return fmt.Sprintf("k%d=v\n", i) }),
		}),
		simple("generator/same-env", Want{Refused: `apps/a`, All: true}, map[string]string{
			"kustomization.yaml": "configMapGenerator:\n- {name: innocent, envs: [" + strings.Repeat("x.env,", 5000) + "x.env]}\n",
			"x.env":              repeated(1000, func(i int) string { return fmt.Sprintf("k%d=v\n", i) }),
		}),
	}
}

// generatedFiles generates a ConfigMap from three thousand names of one blob.
func generatedFiles() Case { return generatedFilesOf("configMap", 3000) }

func generatedFilesOf(kind string, n int) Case {
	return Case{
		Name: fmt.Sprintf("generator/%s-%dx4m", kind, n), Want: Want{Refused: `apps/a.*\d`, All: true},
		Build: func(r *Repository, _ World) {
			blob := r.Blob([]byte(strings.Repeat("x", fileSize)))
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprintf("f%d", i)
				r.Put("apps/a/"+names[i], blob)
			}
			r.File("apps/a/kustomization.yaml", kind+"Generator: [{name: innocent, files: ["+strings.Join(names, ", ")+"]}]\n")
			r.federation("a")
		},
	}
}

// resourcesOf4MiB has a thousand resources of four megabytes each.
func resourcesOf4MiB() Case {
	return Case{
		Name: "generator/resources-1000x4m", Short: true, Want: Want{Refused: `apps/a.*\d`, All: true},
		Build: func(r *Repository, _ World) {
			blob := r.Blob([]byte(configMap(Marker, strings.Repeat("x", fileSize))))
			text := "resources:\n" + repeated(1000, func(i int) string { return fmt.Sprintf("- r%d.yaml\n", i) })
			for i := range 1000 {
				r.Put(fmt.Sprintf("apps/a/r%d.yaml", i), blob)
			}
			r.File("apps/a/kustomization.yaml", text)
			r.federation("a")
		},
	}
}

// appsOf60MiB has two hundred apps, each below the limit for one build.
func appsOf60MiB() Case {
	return Case{
		Name: "generator/200-apps-of-60m", Want: Want{Refused: `apps/.*\d`},
		Build: func(r *Repository, _ World) {
			var apps []string
			text := "configMapGenerator:\n" + repeated(15, func(i int) string { return fmt.Sprintf("- {name: innocent-%d, files: [f%d]}\n", i, i) })
			for i := range 200 {
				app := fmt.Sprintf("a%d", i)
				apps = append(apps, app)
				blob := r.Blob([]byte(app + strings.Repeat("x", fileSize)))
				for j := range 15 {
					r.Put(fmt.Sprintf("apps/%s/f%d", app, j), blob)
				}
				r.File("apps/"+app+"/kustomization.yaml", text)
			}
			r.federation(apps...)
		},
	}
}
