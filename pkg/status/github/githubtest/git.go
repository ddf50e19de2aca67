package githubtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// git runs a command in the bare repository.
func (s *Server) git(args ...string) (string, error) {
	cmd := exec.Command("git", args...) //nolint:gosec // The stand-in's own words, and names that it has checked.
	cmd.Dir = s.path
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.path, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=GitHub", "GIT_AUTHOR_EMAIL=noreply@github.example",
		"GIT_COMMITTER_NAME=GitHub", "GIT_COMMITTER_EMAIL=noreply@github.example",
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// hasCommit reports whether the repository has a commit.
func (s *Server) hasCommit(sha string) bool {
	const full = 40
	if len(sha) != full || strings.Trim(sha, "0123456789abcdef") != "" {
		return false
	}
	if s.known[sha] {
		return true
	}
	if _, err := s.git("cat-file", "-e", sha+"^{commit}"); err != nil {
		return false
	}
	s.known[sha] = true
	return true
}

// refs returns the commit of each ref.
func (s *Server) refs() map[string]string {
	all := map[string]string{}
	out, err := s.git("for-each-ref", "--format=%(refname) %(objectname)")
	if err != nil {
		return all // it is not a repository
	}
	for line := range strings.Lines(out) {
		name, sha, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[name] = sha
	}
	return all
}

// writeRef sets a ref as a file, which costs no process.
func (s *Server) writeRef(name, sha string) error {
	file := filepath.Join(s.path, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(sha+"\n"), 0o644)
}

// tip returns the commit of a ref; empty if there is none.
func (s *Server) tip(ref string) string {
	sha, err := s.git("rev-parse", "--verify", "--quiet", ref+"^{commit}")
	if err != nil {
		return ""
	}
	return sha
}

// merged creates the commit that merges head into base. It returns an error if they
// conflict.
func (s *Server) merged(base, head, message string) (string, error) {
	tree, err := s.git("merge-tree", "--write-tree", base, head)
	if err != nil {
		return "", err
	}
	return s.git("commit-tree", tree, "-p", base, "-p", head, "-m", message)
}

func (q *request) unknownCommit(sha string) {
	q.refuse(422, "No commit found for SHA: "+sha)
}
