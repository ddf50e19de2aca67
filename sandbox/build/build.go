// Package build builds the programs that a sandbox runs from the pinned modules below
// programs/, and finds them.
//
// Its input is the directory with the modules, whose go.mod files alone determine the
// versions. Its output is executables in CACHE/NAME-VERSION/, in the user's cache.
// Checkouts with the same versions share them.
package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// Set is the set of programs that one checkout pins.
type Set struct {
	Modules string // the directory with one module per source
	Cache   string // the directory with NAME-VERSION/
	Assets  string // a directory with ready-made programs, such as $KUBEBUILDER_ASSETS; may be empty
}

// Program names an executable of a sandbox.
type Program string

// The programs.
const (
	Etcd              Program = "etcd"
	APIServer         Program = "kube-apiserver"
	ControllerManager Program = "kube-controller-manager"
	Scheduler         Program = "kube-scheduler"
	Kwok              Program = "kwok"
	Gitea             Program = "gitea"
)

// Paths are the paths of programs.
type Paths map[Program]string

// MissingError reports programs that are not built yet.
type MissingError struct {
	Programs []string
	Cache    string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s not found in %s: run `make sandbox`, or `go -C sandbox run ./cmd/sandbox build`",
		strings.Join(e.Programs, ", "), e.Cache)
}

// Find returns the paths of all programs, or a [MissingError]. It includes the forge
// only if forge is set.
func (s Set) Find(forge bool) (Paths, error) {
	found := Paths{}
	missing := &MissingError{Cache: s.Cache}
	for _, src := range s.sources(forge) {
		dir, err := s.dir(src)
		if err != nil {
			return nil, err
		}
		for _, p := range src.programs() {
			switch path := filepath.Join(dir, string(p)); {
			case s.asset(p) != "":
				found[p] = s.asset(p)
			case src.complete(dir, p):
				found[p] = path
			default:
				missing.Programs = append(missing.Programs, filepath.Base(dir)+"/"+string(p))
			}
		}
	}
	if len(missing.Programs) > 0 {
		return nil, missing
	}
	return found, nil
}

// Build builds the missing programs, one module after another, since each build keeps
// all processors busy.
func (s Set) Build(ctx context.Context, forge bool, out *Progress) error {
	for _, src := range s.sources(forge) {
		if err := s.build(ctx, src, out); err != nil {
			return err
		}
	}
	return nil
}

func (s Set) build(ctx context.Context, src source, out *Progress) error {
	dir, err := s.dir(src)
	if err != nil {
		return err
	}
	name := filepath.Base(dir)
	if s.missing(src, dir) == nil {
		out.Say(name, "already built")
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	unlock, err := lock(dir+".lock", func() { out.Say(name, "waiting for another command that builds it") })
	if err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	defer unlock()
	missing := s.missing(src, dir) // another command may have built it while we waited
	if missing == nil {
		out.Say(name, "already built")
		return nil
	}
	done := out.Begin(name)
	err = s.compile(ctx, src, dir, missing)
	done(err)
	if err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	return nil
}

// missing returns the programs of src that are neither in dir nor in the assets.
func (s Set) missing(src source, dir string) []Program {
	var missing []Program
	for _, p := range src.programs() {
		if s.asset(p) == "" && !src.complete(dir, p) {
			missing = append(missing, p)
		}
	}
	return missing
}

// compile builds into a directory next to dir and then moves each file, so that dir
// never holds half a program.
func (s Set) compile(ctx context.Context, src source, dir string, missing []Program) error {
	version, err := s.version(src)
	if err != nil {
		return err
	}
	// A build that was killed has left its directory. No other build runs, since we
	// hold the lock.
	left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+"-*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }() // if this fails, the next build removes it

	// The program itself may exist while its static files are missing.
	missing = slices.DeleteFunc(missing, func(p Program) bool { return executable(dir, p) })
	if len(missing) > 0 {
		args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", src.ldflags(version), "-tags", src.tags, "-o", tmp + "/"}
		if len(missing) == 1 {
			args[len(args)-1] += string(missing[0]) // the package may have another name
		}
		for _, p := range missing {
			args = append(args, src.commands[p])
		}
		if _, err := s.run(ctx, src, args...); err != nil {
			return err
		}
	}
	if src.static != nil {
		if err := s.copyStatic(ctx, src, filepath.Join(tmp, staticDir)); err != nil {
			return err
		}
		// The rename would fail if an incomplete directory existed.
		if err := os.RemoveAll(filepath.Join(dir, staticDir)); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(tmp, staticDir), filepath.Join(dir, staticDir)); err != nil {
			return err
		}
	}
	for _, p := range missing {
		if err := os.Rename(filepath.Join(tmp, string(p)), filepath.Join(dir, string(p))); err != nil {
			return err
		}
	}
	return nil
}

// copyStatic copies the directories that the program reads at run time out of the
// module cache, from which `go clean -modcache` would remove them.
func (s Set) copyStatic(ctx context.Context, src source, to string) error {
	if _, err := s.run(ctx, src, "mod", "download", src.module); err != nil {
		return err
	}
	out, err := s.run(ctx, src, "list", "-m", "-f", "{{.Dir}}", src.module)
	if err != nil {
		return err
	}
	from := strings.TrimSpace(out)
	for _, folder := range src.static {
		if err := os.CopyFS(filepath.Join(to, folder), os.DirFS(filepath.Join(from, folder))); err != nil {
			return fmt.Errorf("copy %s of %s: %w", folder, src.module, err)
		}
	}
	return nil
}

// run runs the go command in src's module.
func (s Set) run(ctx context.Context, src source, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(s.Modules, src.name)
	// A workspace of the user must not add modules to the pinned ones.
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED="+src.cgo)
	cmd.Stderr = &stderr
	// An interrupt lets the go command end its compilers; a kill would not.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), cmd.Dir, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// asset returns the path of a ready-made program, or "". The assets are used only if
// they include etcd and the API server.
func (s Set) asset(p Program) string {
	if s.Assets == "" || !executable(s.Assets, Etcd) || !executable(s.Assets, APIServer) || !executable(s.Assets, p) {
		return ""
	}
	return filepath.Join(s.Assets, string(p))
}

func (s Set) dir(src source) (string, error) {
	version, err := s.version(src)
	if err != nil {
		return "", err
	}
	return filepath.Join(s.Cache, src.name+"-"+version), nil
}

// version returns the pinned version of the module that src is built from.
func (s Set) version(src source) (string, error) {
	path := filepath.Join(s.Modules, src.name, "go.mod")
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the version of %s: %w", src.name, err)
	}
	f, err := modfile.ParseLax(path, b, nil)
	if err != nil {
		return "", fmt.Errorf("read the version of %s: %w", src.name, err)
	}
	for _, r := range f.Require {
		if r.Mod.Path == src.module {
			return r.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("read the version of %s: %s does not require %s", src.name, path, src.module)
}

// Modules finds the directory with the pinned modules, in the checkout at or above
// from.
func Modules(from string) (string, error) {
	for dir := from; ; dir = filepath.Dir(dir) {
		for _, at := range []string{"programs", "sandbox/programs"} {
			at = filepath.Join(dir, at)
			_, err := os.Stat(filepath.Join(at, sources[0].name, "go.mod"))
			if err == nil {
				return at, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("find the pinned modules: %w", err)
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the pinned modules: no sandbox/programs at or above %s: run this command inside a checkout or use --programs", from)
		}
	}
}

func executable(dir string, p Program) bool {
	info, err := os.Stat(filepath.Join(dir, string(p)))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
