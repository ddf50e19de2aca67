package hostile

import (
	"fmt"
	"strings"
)

// gitFolders returns cases whose Git folder has files that lead elsewhere, or
// are too large.
func gitFolders() []Case {
	refused := func(text string, c Case) Case { c.Want.Refused = text; return c }
	own := func(name string, write func(r *Repository, w World)) Case {
		return Case{Name: "gitfolder/" + name, Build: func(r *Repository, w World) {
			r.app(map[string]string{"innocent.yaml": innocent})
			write(r, w)
		}}
	}
	return []Case{
		short(own("head-loop", func(r *Repository, _ World) {
			r.Own("HEAD", "ref: refs/heads/a\n")
			r.Own("refs/heads/a", "ref: refs/heads/b\n")
			r.Own("refs/heads/b", "ref: HEAD\n")
		})),
		short(own("head-outside", func(r *Repository, w World) { r.Own("HEAD", "ref: ../../../../../.."+w.Secret+"\n") })),
		own("head-absolute", func(r *Repository, w World) { r.Own("HEAD", "ref: "+w.Secret+"\n") }),
		own("head-link", func(r *Repository, w World) { r.OwnLink("HEAD", w.Secret) }),
		own("ref-link", func(r *Repository, w World) { r.OwnLink("refs/heads/main", w.Secret) }),
		own("head-device", func(r *Repository, _ World) { r.OwnLink("HEAD", "/dev/zero") }),
		own("config-link", func(r *Repository, w World) { r.OwnLink("config", w.Secret) }),
		own("config-device", func(r *Repository, _ World) { r.OwnLink("config", "/dev/zero") }),
		own("packed-refs-device", func(r *Repository, _ World) { r.OwnLink("packed-refs", "/dev/zero") }),
		own("alternates", func(r *Repository, w World) {
			r.Own("objects/info/alternates", w.Secret+"\n/\n../../../../..\n"+strings.Repeat("/proc/self/root\n", 1000))
		}),
		own("packed-refs", func(r *Repository, _ World) {
			r.Own("packed-refs", repeated(500_000, func(i int) string { return fmt.Sprintf("%040x refs/heads/b%d\n", i, i) }))
		}),
		own("packed-refs-without-head", func(r *Repository, _ World) {
			r.Own("HEAD", "ref: refs/heads/nothing\n")
			r.Own("packed-refs", repeated(500_000, func(i int) string { return fmt.Sprintf("%040x refs/heads/b%d\n", i, i) }))
		}),
		own("long-head", func(r *Repository, _ World) { r.Own("HEAD", "ref: refs/heads/"+strings.Repeat("a/", 1_000_000)+"\n") }),
		own("odd-branches", func(r *Repository, _ World) {
			r.Own("HEAD", "ref: refs/heads/nothing\n")
			for i, n := range odd() {
				r.Own(fmt.Sprintf("refs/heads/%d-%.80s", i, strings.NewReplacer("/", "|", "\x00", "").Replace(n)), strings.Repeat("1", 40)+"\n")
			}
		}),
		own("commondir", func(r *Repository, w World) { r.Own("commondir", w.Secret+"\n"); r.Own("gitdir", "/etc\n") }),
		refused(`objects.* more than 32 folders`, own("alternates-many", func(r *Repository, _ World) {
			r.Own("objects/info/alternates", repeated(2_000_000, func(i int) string { return fmt.Sprintf("/x%d\n", i) }))
		})),
		refused(`config has \d+ bytes`, own("config-large", func(r *Repository, _ World) { r.Own("config", strings.Repeat("[a]\n\tb = c\n", 3_000_000)) })),
		refused(`config has \d+ bytes`, own("config-sections", func(r *Repository, _ World) {
			r.Own("config", repeated(500_000, func(i int) string { return fmt.Sprintf("[branch \"b%d\"]\n\tremote = x\n", i) }))
		})),
		refused(`HEAD has \d+ bytes`, own("head-large", func(r *Repository, _ World) { r.Own("HEAD", strings.Repeat("1", 300<<20)) })),
		short(own("ref-large", func(r *Repository, _ World) { r.Own("refs/heads/main", strings.Repeat("1", 300<<20)) })),
		own("ref-device", func(r *Repository, _ World) { r.OwnLink("refs/heads/main", "/dev/zero") }),
		own("shallow", func(r *Repository, _ World) { r.Own("shallow", strings.Repeat("x\n", 1_000_000)) }),
	}
}
