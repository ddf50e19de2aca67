package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// trees returns cases with folders that refer to one another billions of times,
// or with invalid names.
func trees() []Case {
	refused := Want{Refused: `--max-files|files`, All: true}
	return []Case{
		short(treeBomb("tree/bomb", refused, false)), treeBomb("tree/bomb-of-empty", Want{}, true),
		worktree(treeBomb("tree/bomb-of-empty-in-worktree", Want{}, true)), worktree(treeBomb("tree/bomb-in-worktree", Want{}, false)),
		deepTree(3000), worktree(deepTree(3000)),
		oddTree("dotdot", "..", `"\.\."`), oddTree("dot", ".", `"\."`), oddTree("slash", "a/b", `"a/b"`), oddTree("root", "/", `name`), oddTree("empty", "", ``),
		short(oddTree("git", ".git", ``)), oddTree("GIT", ".GIT", ``), oddTree("git-short", "git~1", ``), oddTree("git-joiner", ".g\u200cit", ``),
		worktree(oddTree("git-in-worktree", ".git", ``)), worktree(oddTree("dotdot-in-worktree", "..", `"\.\."`)),
		equalNames(), wrongModes(), missingObjects(), escapedNames(),
	}
}

func worktree(c Case) Case {
	c.Worktree = true
	if !strings.HasSuffix(c.Name, "worktree") {
		c.Name += "-in-worktree"
	}
	return c
}

// treeBomb is forty trees of ten entries, which all refer to the previous tree.
func treeBomb(name string, want Want, empty bool) Case {
	return Case{
		Name: name, Want: want,
		Build: func(r *Repository, _ World) {
			tree := r.Tree()
			if !empty {
				tree = r.Tree(Entry{"innocent.yaml", filemode.Regular, r.Blob([]byte(innocent))})
			}
			for range 40 {
				var entries []Entry
				for i := range 10 {
					entries = append(entries, Entry{fmt.Sprintf("f%d", i), filemode.Dir, tree})
				}
				tree = r.Tree(entries...)
			}
			r.Folder("apps/a", tree)
			r.federation("a")
		},
	}
}

func deepTree(n int) Case {
	return Case{
		Name: "tree/deep", Want: Want{Refused: `deep`},
		Build: func(r *Repository, _ World) {
			tree := r.Tree(Entry{"innocent.yaml", filemode.Regular, r.Blob([]byte(innocent))})
			for range n {
				tree = r.Tree(Entry{"d", filemode.Dir, tree})
			}
			r.Folder("apps/a", tree)
			r.federation("a")
		},
	}
}

// oddTree has a folder and a file of one odd name.
func oddTree(name, entry, refused string) Case {
	return Case{
		Name: "tree/entry-" + name, Want: Want{Refused: refused},
		Build: func(r *Repository, w World) {
			inside := r.Tree(
				Entry{"config", filemode.Regular, r.Blob([]byte("[core]\n\tfsmonitor = " + w.Program + "\n\tsshCommand = " + w.Program + "\n"))},
				Entry{"innocent.yaml", filemode.Regular, r.Blob([]byte(innocent))},
			)
			r.Folder("apps/a", r.Tree(Entry{entry, filemode.Dir, inside}, Entry{"x.yaml", filemode.Regular, r.Blob([]byte(innocent))}))
			r.Folder(entry, inside)
			r.federation("a")
		},
	}
}

func equalNames() Case {
	return Case{
		Name: "tree/equal-names", Want: Want{Refused: `x\.yaml`, All: true},
		Build: func(r *Repository, _ World) {
			blob := r.Blob([]byte(innocent))
			r.Folder("apps/a", r.Tree(Entry{"x.yaml", filemode.Regular, blob}, Entry{"x.yaml", filemode.Dir, r.Tree()}, Entry{"x.yaml", filemode.Symlink, blob}))
			r.federation("a")
		},
	}
}

func wrongModes() Case {
	return Case{
		Name: "tree/modes",
		Build: func(r *Repository, _ World) {
			blob, tree := r.Blob([]byte(innocent)), r.Tree()
			r.Folder("apps/a", r.Tree(
				Entry{"a.yaml", 0o4777, blob}, Entry{"b.yaml", 0, blob}, Entry{"c.yaml", 0o177777, blob}, Entry{"d.yaml", filemode.Regular, tree},
				Entry{"e", filemode.Dir, blob}, Entry{"f.yaml", filemode.Symlink, tree}, Entry{"g.yaml", 0o060000, blob},
			))
			r.federation("a")
		},
	}
}

// escapedNames is a folder of the largest size that is read, with names whose every byte
// takes six bytes in JSON.
func escapedNames() Case {
	return Case{
		Name: "tree/escaped-names", Want: Want{Refused: `apps/a.*\d`},
		Build: func(r *Repository, _ World) {
			blob := r.Blob([]byte(innocent))
			entries := make([]Entry, 5000)
			for i := range entries {
				entries[i] = Entry{fmt.Sprintf("%s%04d.yaml", strings.Repeat("\x01", 2500), i), filemode.Regular, blob}
			}
			r.Folder("apps/a", r.Tree(entries...))
			r.File("apps/b/b.yaml", configMap("b", ""))
			r.federation("a", "b")
		},
	}
}

func missingObjects() Case {
	return Case{
		Name: "tree/missing-objects", Want: Want{Refused: `apps/b`},
		Build: func(r *Repository, _ World) {
			r.Put("apps/a/x.yaml", plumbing.ComputeHash(plumbing.BlobObject, []byte("missing")))
			r.Folder("apps/b", plumbing.ComputeHash(plumbing.TreeObject, []byte("missing")))
			r.federation("a", "b")
		},
	}
}

// objectsOfGit returns cases with misleading blobs and commits.
func objectsOfGit() []Case {
	return []Case{
		zeroBlob("resource", "resources: [big]\n"), zeroBlob("generated", "configMapGenerator: [{name: innocent, files: [big]}]\n"),
		zeroFederation(), smallOnLarge(), short(largeByDelta()), longDeltaChain(), deltaOverPacks(), lyingSize(), longHeader("gpgsig"), short(longHeader("mergetag")), oddDates(), short(largeCommit()), wrongHead(), manyParents(), manyTags(),
	}
}

func zeroBlob(name, text string) Case {
	return Case{
		Name: "object/1g-" + name, Want: Want{Refused: `apps/a.*\d`, All: true},
		Build: func(r *Repository, _ World) {
			r.Put("apps/a/big", r.Zeros(1<<30))
			r.File("apps/a/kustomization.yaml", text)
			r.federation("a")
		},
	}
}

func zeroFederation() Case {
	return Case{
		Name: "object/1g-federation", Want: Want{Refused: `fedsync\.yaml`, All: true},
		Build: func(r *Repository, _ World) { r.Put("fedsync.yaml", r.Zeros(1<<30)) },
	}
}

// smallOnLarge is a small file stored as a delta of a large base, which must be
// unpacked.
func smallOnLarge() Case {
	return Case{
		Name: "object/delta-on-1g", Want: Want{Refused: `apps/a.*\d`, All: true},
		Build: func(r *Repository, _ World) {
			const size = 1 << 30
			delta := binary.AppendUvarint(binary.AppendUvarint(nil, size), uint64(len(innocent)))
			delta = append(append(delta, byte(len(innocent))), innocent...)
			r.Put("apps/a/x.yaml", r.Delta(r.Zeros(size), delta, plumbing.ComputeHash(plumbing.BlobObject, []byte(innocent))))
			r.federation("a")
		},
	}
}

// largeByDelta is a delta of a few bytes that copies sixteen megabytes many
// times.
func largeByDelta() Case {
	return Case{
		Name: "object/large-by-delta", Want: Want{Refused: `apps/a.*\d`, All: true},
		Build: func(r *Repository, _ World) {
			base := bytes.Repeat([]byte("# xxxxx\n"), 0xffff00/8)
			const times = 64
			delta := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(base))), uint64(len(base)*times))
			delta = append(delta, bytes.Repeat([]byte{0x80 | 0x40 | 0x20, 0xff, 0xff}, times)...)
			h := plumbing.NewHasher(plumbing.BlobObject, int64(len(base)*times))
			for range times {
				_, _ = h.Write(base) // writing to a hash cannot fail
			}
			r.Put("apps/a/x.yaml", r.Delta(r.Blob(base), delta, h.Sum()))
			r.federation("a")
		},
	}
}

// longDeltaChain is a file stored as a delta of a delta, and so on.
func longDeltaChain() Case {
	return Case{
		Name: "object/delta-chain", Want: Want{},
		Build: func(r *Repository, _ World) {
			content := []byte(configMap(Marker, strings.Repeat("x", 100_000)))
			id := r.Blob(content)
			for i := range 3000 {
				last := fmt.Sprintf("# %06d\n", i)
				next := append(bytes.Clone(content[:len(content)-8*min(i, 1)]), last...)
				kept := len(next) - len(last)
				delta := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(content))), uint64(len(next)))
				delta = append(delta, 0x80|0x10|0x20|0x40, byte(kept), byte(kept>>8), byte(kept>>16), byte(len(last)))
				id = r.Delta(id, append(delta, last...), plumbing.ComputeHash(plumbing.BlobObject, next))
				content = next
			}
			r.Put("apps/a/x.yaml", id)
			r.federation("a")
		},
	}
}

// deltaOverPacks is a small file stored as a delta of an object in another pack, and
// so on, up to a gigabyte in the last.
func deltaOverPacks() Case {
	return Case{
		Name: "object/delta-over-packs", Want: Want{Refused: `apps/a.*\d`, All: true},
		Build: func(r *Repository, _ World) {
			const size, packs, kept = 1 << 30, 6, 100
			id := r.Zeros(size)
			of := uint64(size)
			for i := range packs {
				r.NextPack()
				delta := binary.AppendUvarint(binary.AppendUvarint(nil, of), kept)
				id = r.Delta(id, append(delta, 0x80|0x10, kept), plumbing.ComputeHash(plumbing.BlobObject, fmt.Append(nil, i)))
				of = kept
			}
			r.Put("apps/a/x.yaml", id)
			r.federation("a")
		},
	}
}

// longHeader is a commit whose header has a field with as many lines as fit.
func longHeader(field string) Case {
	return Case{
		Name: "object/long-" + field,
		Build: func(r *Repository, _ World) {
			r.app(map[string]string{"innocent.yaml": innocent})
			r.Head(r.pack.add(plumbing.CommitObject, fmt.Appendf(nil, "tree %s\nauthor a <b> 1 +0000\ncommitter a <b> 1 +0000\n%s%s\nx\n",
				r.Files(), field, strings.Repeat(" x\n", 300_000))))
		},
	}
}

// oddDates is a commit with an impossible year and zone.
func oddDates() Case {
	return Case{
		Name: "object/odd-dates",
		Build: func(r *Repository, _ World) {
			r.app(map[string]string{"innocent.yaml": innocent})
			r.Head(r.pack.add(plumbing.CommitObject, fmt.Appendf(nil, "tree %s\nauthor a <b> -99999999999999 -9999\ncommitter a <b> 9223372036854775807 +9959\n\nx\n", r.Files())))
		},
	}
}

// lyingSize has objects whose headers state a wrong size.
func lyingSize() Case {
	return Case{
		Name: "object/lying-size",
		Build: func(r *Repository, _ World) {
			for i, header := range []string{"blob 5\x00", "blob 99999999999999\x00", "blob -1\x00", "blob 0\x00", "tree 30\x00", "blob\x00", strings.Repeat("x", 1<<20)} {
				id := plumbing.ComputeHash(plumbing.BlobObject, fmt.Appendf(nil, "lying %d", i))
				r.Loose(id, header+configMap(fmt.Sprintf("innocent-%d", i), "v")+strings.Repeat("# xxxxxx\n", 6<<20))
				app := fmt.Sprintf("a%d", i)
				r.Put("apps/"+app+"/x.yaml", id)
			}
			r.federation("a0", "a1", "a2", "a3", "a4", "a5", "a6")
		},
	}
}

// largeCommit is a commit of a hundred megabytes.
func largeCommit() Case {
	return Case{
		Name: "object/large-commit", Want: Want{Refused: `commit.*\d`, All: true},
		Build: func(r *Repository, _ World) {
			r.app(map[string]string{"innocent.yaml": innocent})
			r.Head(r.Commit(r.Files(), strings.Repeat("x", 100<<20)))
		},
	}
}

func wrongHead() Case {
	return Case{
		Name: "object/head-is-a-blob", Want: Want{Refused: `blob|commit`, All: true},
		Build: func(r *Repository, _ World) { r.Head(r.Blob([]byte("tree x\n"))) },
	}
}

func manyParents() Case {
	return Case{
		Name: "object/many-parents",
		Build: func(r *Repository, _ World) {
			r.app(map[string]string{"innocent.yaml": innocent})
			tree := r.Files()
			parents := make([]ID, 20_000)
			for i := range parents {
				parents[i] = plumbing.ComputeHash(plumbing.CommitObject, fmt.Append(nil, i))
			}
			r.Head(r.Commit(tree, "x", parents...))
		},
	}
}

func manyTags() Case {
	return Case{
		Name: "object/tags", Want: Want{},
		Build: func(r *Repository, _ World) {
			r.app(map[string]string{"innocent.yaml": innocent})
			id, kind := r.Commit(r.Files(), "x"), "commit"
			for i := range 20_000 {
				id = r.pack.add(plumbing.TagObject, fmt.Appendf(nil, "object %s\ntype %s\ntag t%d\ntagger a <b> 1 +0000\n\nx\n", id, kind, i))
				kind = "tag"
			}
			r.Head(id)
		},
	}
}
