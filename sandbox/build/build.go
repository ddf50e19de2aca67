// Package build turns the pinned modules below programs/ into the programs that
// a sandbox runs, and finds them again.
//
// In go the folder with the modules, whose go.mod files alone say which versions
// are wanted, and a folder of the user's cache; out come executables in
// CACHE/NAME-VERSION/. A checkout that wants the same versions builds nothing.
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

// Set is what one checkout wants to run, and where it is kept.
type Set struct {
	Modules string // the folder with one module per program
	Cache   string // the folder with NAME-VERSION/
	Assets  string // a folder with ready-made programs, as KUBEBUILDER_ASSETS names one; may be empty
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

// Paths says where the programs are.
type Paths map[Program]string

// MissingError says what has to be built first.
type MissingError struct {
	Programs []string
	Cache    string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("not built yet: %s (looked in %s): run `make sandbox`, or `go -C sandbox run ./cmd/sandbox build`",
		strings.Join(e.Programs, ", "), e.Cache)
}

// Find returns the paths of all programs, those of the forge only when asked, or
// a [MissingError].
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

// Build makes what is missing, one module after another: each of them alone
// keeps all processors busy.
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
	if s.wanted(src, dir) == nil {
		out.Say(name, "is there")
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	unlock, err := lock(dir+".lock", func() { out.Say(name, "is being built by another command, waiting") })
	if err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	defer unlock()
	wanted := s.wanted(src, dir) // it may have been made while we waited
	if wanted == nil {
		out.Say(name, "is there")
		return nil
	}
	done := out.Begin(name)
	err = s.compile(ctx, src, dir, wanted)
	done(err)
	if err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	return nil
}

// wanted lists the programs of src that neither dir nor the assets have.
func (s Set) wanted(src source, dir string) []Program {
	var wanted []Program
	for _, p := range src.programs() {
		if s.asset(p) == "" && !src.complete(dir, p) {
			wanted = append(wanted, p)
		}
	}
	return wanted
}

// compile builds into a folder beside dir and moves file by file, so that dir
// never holds half a program.
func (s Set) compile(ctx context.Context, src source, dir string, wanted []Program) error {
	version, err := s.version(src)
	if err != nil {
		return err
	}
	// One who was killed while building, under the lock that is ours now, has
	// left a folder like this one.
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
	defer func() { _ = os.RemoveAll(tmp) }() // the next build would

	// Only what the program reads may be missing, and not the program itself.
	wanted = slices.DeleteFunc(wanted, func(p Program) bool { return executable(dir, p) })
	if len(wanted) > 0 {
		args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", src.ldflags(version), "-tags", src.tags, "-o", tmp + "/"}
		if len(wanted) == 1 {
			args[len(args)-1] += string(wanted[0]) // the package may have another name
		}
		for _, p := range wanted {
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
		// Half of what is wanted would refuse the rename.
		if err := os.RemoveAll(filepath.Join(dir, staticDir)); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(tmp, staticDir), filepath.Join(dir, staticDir)); err != nil {
			return err
		}
	}
	for _, p := range wanted {
		if err := os.Rename(filepath.Join(tmp, string(p)), filepath.Join(dir, string(p))); err != nil {
			return err
		}
	}
	return nil
}

// copyStatic copies the folders that the program reads at run time out of the
// module cache, where `go clean -modcache` would take them away.
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
	// A workspace of the user's must not add its modules to the pinned ones.
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED="+src.cgo)
	cmd.Stderr = &stderr
	// The go command has compilers of its own to end.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), cmd.Dir, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// asset returns the path of a program among the ready-made ones, or "". They
// count only if they hold what every control plane starts with.
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

// version reads the version of the module that src is built from.
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

// Modules finds the folder with the pinned modules from a folder at or above
// which the checkout lies.
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
			return "", fmt.Errorf("find the pinned modules: no sandbox/programs at or above %s: run it inside a checkout or give --programs", from)
		}
	}
}

func executable(dir string, p Program) bool {
	info, err := os.Stat(filepath.Join(dir, string(p)))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
