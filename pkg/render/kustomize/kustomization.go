package kustomize

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// A kustomization is one kustomization file, read and checked before kustomize
// reads it: what kustomize would fetch, run or follow endlessly is refused
// here.
type kustomization struct {
	types.Kustomization
	dir  string
	file string
	doc  strictyaml.Document
	role role

	folders   []reference // the kustomizations that it builds on
	elsewhere []string    // what its build depends on outside its own folder
	declared  []declared  // the objects of its resource files
	twice     []declared  // the first of them that have a port number twice in a list
	// special reports that a file controls kustomize: by annotations, or by a
	// comment that could be a schema.
	special bool
	// jsonPatches reports that it has a JSON patch, which makes kustomize record
	// the earlier names of the objects that it patches.
	jsonPatches bool

	deprecated  []deprecated // the fields that kustomize warns about
	portPatches []portPatch

	bytes   int64 // size of the files that it names
	copies  int   // copy operations in its JSON patches
	copying int   // JSON patches with copy operations
}

// A role is what a kustomization's objects are for.
type role string

const (
	forObjects role = "objects"
	forPlugins role = "plugins" // they configure generators, transformers or validators
)

// A reference is an entry of a kustomization file that names a folder.
type reference struct {
	dir   string
	field string
	line  int
	role  role
}

// A declared is an object in a file that a kustomization names.
type declared struct {
	ref   federation.ObjectRef
	file  string
	twice []string // its lists with a port number twice
}

// scan reads the kustomization of a folder, but not those that it builds on. If
// it has no mistakes, it is cached until the folder changes.
func (r *Revision) scan(dir string, as role) (*kustomization, error) {
	key := scanKey{dir, as}
	r.mu.Lock()
	known, ok := r.scans[key]
	r.mu.Unlock()
	if ok {
		return known.k, known.err
	}
	digest, err := r.files.Digest(dir)
	if err != nil {
		return &kustomization{dir: dir, role: as}, &manifest.Error{File: dir, Reason: manifest.Cause(err)}
	}
	// A generated kustomization is not the folder's own.
	_, made := r.made[madeIn(dir)]
	if k := r.recall(key, digest); k != nil && !made {
		return k, nil
	}
	k := &kustomization{dir: dir, role: as}
	end, err := r.enter(dir, "read "+digest)
	if err == nil {
		err = r.scanInto(k)
		end()
	}
	r.mu.Lock()
	r.scans[key] = scanResult{k, err}
	r.mu.Unlock()
	if err == nil && !made {
		k.doc = strictyaml.Document{} // its lines are needed only for mistakes
		r.b.mu.Lock()
		r.b.known.folders[key] = &scanned{digest: digest, scan: k, used: r.generation}
		r.b.mu.Unlock()
	}
	return k, err
}

// recall returns the cached scan of a folder, or nil.
func (r *Revision) recall(key scanKey, digest string) *kustomization {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	known, ok := r.b.known.folders[key]
	if !ok || known.digest != digest {
		return nil
	}
	known.used = r.generation
	return known.scan
}

type scanKey struct {
	dir  string
	role role
}

type scanResult struct {
	k   *kustomization
	err error
}

func (r *Revision) scanInto(k *kustomization) error {
	content, err := r.kustomizationFile(k)
	if err != nil {
		return err
	}
	k.special = controlsKustomize(content)
	k.bytes = int64(len(content))
	docs, err := r.files.Decode(content)
	if err != nil {
		return manifest.YAMLErrors(k.file, err)
	}
	if len(docs) != 1 {
		return &manifest.Error{File: k.file, Reason: fmt.Sprintf("want one document, got %d", len(docs))}
	}
	k.doc = docs[0]
	if err := k.Unmarshal(content); err != nil {
		return k.invalid(err)
	}
	k.deprecated = deprecatedIn(k.doc)
	resources := len(k.Resources)
	k.FixKustomization() // which appends bases to the resources
	if errs := k.EnforceFields(); len(errs) > 0 {
		return &manifest.Error{File: k.file, Line: k.doc.Line("kind"), Reason: strings.Join(errs, "; ")}
	}
	s := scanner{r: r, k: k, resources: resources}
	s.refuseFields()
	s.references()
	s.files()
	return manifest.Join(s.errs)
}

// invalid returns an error with the line of a field that kustomize does not
// know.
func (k *kustomization) invalid(err error) *manifest.Error {
	text := plainText(err)
	if _, field, ok := strings.Cut(text, "unknown field "); ok {
		name := strings.Trim(field, `"`)
		if content, _ := k.doc.Value.(map[string]any); content[name] != nil {
			return &manifest.Error{File: k.file, Line: k.doc.Line(name), Field: name, Reason: "kustomize has no field of this name", Remedy: "correct the name, or remove the field"}
		}
	}
	if e := k.mistyped(text); e != nil {
		return e
	}
	return &manifest.Error{File: k.file, Reason: text}
}

// kustomizationFile finds and reads the file. For a base without one it
// generates one that names all of its manifests.
func (r *Revision) kustomizationFile(k *kustomization) ([]byte, error) {
	found := r.files.Kustomizations(k.dir)
	switch len(found) {
	case 0:
		k.file = madeIn(k.dir)
		if made, ok := r.made[k.file]; ok {
			return made, nil
		}
		return nil, &manifest.Error{File: k.dir, Reason: "the folder has no kustomization.yaml", Remedy: "add one that lists the folder's resources"}
	case 1:
		k.file = found[0]
	default:
		k.file = found[0]
		return nil, &manifest.Error{File: k.dir, Reason: "the folder has several kustomization files: " + strings.Join(found, ", "), Remedy: "keep one"}
	}
	content, err := r.files.Read(k.file)
	if err != nil {
		return nil, &manifest.Error{File: k.file, Reason: manifest.Cause(err)}
	}
	return content, nil
}

// A scanner collects the mistakes in one kustomization.
type scanner struct {
	r         *Revision
	k         *kustomization
	resources int // how many entries the field has in the file
	errs      []error
}

// refuseFields finds the fields that would make kustomize run a program or read
// another schema.
func (s *scanner) refuseFields() {
	content, _ := s.k.doc.Value.(map[string]any)
	for _, refused := range []struct{ field, reason string }{
		{"helmCharts", "Helm is not run"},
		{"helmChartInflationGenerator", "Helm is not run"},
		{"helmGlobals", "Helm is not run"},
		{"openapi", "only Kubernetes' own schema is used"},
	} {
		for key, value := range content {
			if strings.EqualFold(key, refused.field) && value != nil {
				s.refuse(refused.field, s.k.doc.Line(key), refused.reason, "remove the field, and render it before the push")
			}
		}
	}
}

// references checks the entries that may name a folder.
func (s *scanner) references() {
	for i, entry := range s.k.Resources {
		if len(s.errs) > limit.Mistakes {
			break // more would not be read, and each costs time
		}
		field := "resources"
		if i >= s.resources {
			field, i = "bases", i-s.resources
		}
		if s.local(field, i, entry) {
			s.resource(field, i, entry, s.k.role)
		}
	}
	for i, entry := range s.k.Components {
		if !s.local("components", i, entry) {
			continue
		}
		if name := path.Join(s.k.dir, entry); s.r.files.IsDir(name) {
			s.folder("components", i, name, s.k.role)
		} else {
			s.elsewhere(name)
			s.refuse(at("components", i), s.line("components", i), fmt.Sprintf("%s is not a folder in the repository", entry), "")
		}
	}
	for _, list := range []struct {
		field   string
		entries []string
	}{
		{"generators", s.k.Generators},
		{"transformers", s.k.Transformers},
		{"validators", s.k.Validators},
	} {
		for i, entry := range list.entries {
			if inline(entry) {
				s.inlinePlugin(list.field, i, entry)
			} else if s.local(list.field, i, entry) {
				s.resource(list.field, i, entry, forPlugins)
			}
		}
	}
}

// resource checks an entry that names a file of objects, or a folder.
func (s *scanner) resource(field string, i int, entry string, r role) {
	name := path.Join(s.k.dir, entry)
	if s.r.files.IsDir(name) {
		s.folder(field, i, name, r)
		return
	}
	if !s.inside(field, i, entry) {
		s.elsewhere(name)
		return
	}
	content, ok := s.read(field, i, entry)
	if !ok {
		return
	}
	manifests, err := s.r.files.Parse(name, content)
	if err != nil {
		s.errs = append(s.errs, err)
		return
	}
	for _, m := range manifests {
		if e := m.Stray(); e != nil && r == forObjects {
			s.errs = append(s.errs, e)
			continue
		}
		if r == forPlugins {
			s.plugin(m.Content, name, m.Doc.Line(m.At...), field)
		}
		d := declared{ref: m.Ref(), file: name}
		s.k.declared = append(s.k.declared, d)
		if d.twice = duplicatePorts(m.Content); len(d.twice) > 0 && len(s.k.twice) < mostTwice {
			s.k.twice = append(s.k.twice, d)
		}
	}
}

func (s *scanner) folder(field string, i int, dir string, r role) {
	s.elsewhere(dir)
	s.k.folders = append(s.k.folders, reference{dir: dir, field: at(field, i), line: s.line(field, i), role: r})
}

// elsewhere records a path that the build depends on.
func (s *scanner) elsewhere(name string) {
	if !slices.Contains(s.k.elsewhere, name) {
		s.k.elsewhere = append(s.k.elsewhere, name)
	}
}

// local refuses paths that kustomize would fetch, and paths that leave the
// repository.
func (s *scanner) local(field string, i int, entry string) bool {
	switch {
	case isRemote(entry):
		s.refuse(at(field, i), s.line(field, i), fmt.Sprintf("%q is not in this repository, and nothing is fetched for a build", entry), "copy it into the repository")
	case strings.HasPrefix(entry, "/"):
		s.refuse(at(field, i), s.line(field, i), fmt.Sprintf("%q is an absolute path", entry), "write it relative to the kustomization")
	case entry == "":
		s.refuse(at(field, i), s.line(field, i), "the entry is empty", "")
	case path.Join(s.k.dir, entry) == ".." || strings.HasPrefix(path.Join(s.k.dir, entry), "../"):
		s.refuse(at(field, i), s.line(field, i), fmt.Sprintf("%q leaves the repository", entry), "")
	default:
		return true
	}
	return false
}

// isRemote reports whether kustomize might take a path for a URL.
func isRemote(entry string) bool {
	return strings.Contains(entry, "://") || isFetched(entry)
}

// isFetched reports whether an entry begins so that kustomize would clone it with
// git or load it over HTTP.
func isFetched(entry string) bool {
	e := strings.ToLower(strings.TrimSpace(entry))
	for _, prefix := range []string{"git::", "github.com/", "github.com:", "http:", "https:", "ssh:", "file:"} {
		if strings.HasPrefix(e, prefix) {
			return true
		}
	}
	return user.MatchString(e)
}

// user matches the beginning of the short form of an SSH URL.
var user = regexp.MustCompile(`^[a-z][a-z0-9-]*@`)

// inline reports whether an entry that may be a path or YAML is YAML.
func inline(entry string) bool {
	return strings.Contains(entry, "\n") || strings.Contains(entry, ": ")
}

// inside refuses a file that is not in the kustomization's folder or below it.
func (s *scanner) inside(field string, i int, entry string) bool {
	name := path.Join(s.k.dir, entry)
	if !manifest.Within(name, s.k.dir) {
		if !s.r.files.IsFile(name) {
			s.refuse(at(field, i), s.line(field, i), fmt.Sprintf("there is no file or folder %q", entry), "add it, correct the path, or remove the entry")
			return false
		}
		s.refuse(at(field, i), s.line(field, i), fmt.Sprintf("%q is outside the kustomization's folder, where only folders may be named", entry), "move the file, or give it its own kustomization")
		return false
	}
	return true
}

// read reads a file that the kustomization names.
func (s *scanner) read(field string, i int, entry string) ([]byte, bool) {
	content, err := s.r.files.Read(path.Join(s.k.dir, entry))
	if err != nil {
		s.refuse(at(field, i), s.line(field, i), fmt.Sprintf("%s: %s", entry, manifest.Cause(err)), "add the file, or remove the entry")
		return nil, false
	}
	s.k.bytes += int64(len(content))
	s.k.special = s.k.special || controlsKustomize(content)
	return content, true
}

func (s *scanner) refuse(field string, line int, reason, remedy string) {
	s.errs = append(s.errs, &manifest.Error{File: s.k.file, Line: line, Field: field, Reason: reason, Remedy: remedy})
}

func (s *scanner) line(field string, i int) int {
	return s.k.doc.Line(field, strconv.Itoa(i))
}

func at(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// controlsKustomize reports whether a file has annotations that control kustomize, or comments
// that it may read as a schema.
func controlsKustomize(content []byte) bool {
	for _, s := range []string{"config.kubernetes.io/", "# {", "#{"} {
		if bytes.Contains(content, []byte(s)) {
			return true
		}
	}
	// The kustomization's own API version is not an annotation.
	return bytes.Count(content, []byte("config.k8s.io/")) > bytes.Count(content, []byte("kustomize.config.k8s.io/"))
}
