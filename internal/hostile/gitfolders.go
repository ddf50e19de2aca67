package hostile

import (
	"fmt"
	"strings"
)

// gitFolders are Git folders whose own files lead elsewhere.
func gitFolders() []Case {
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
		own("shallow", func(r *Repository, _ World) { r.Own("shallow", strings.Repeat("x\n", 1_000_000)) }),
	}
}
