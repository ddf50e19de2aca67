package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/status"
)

// patience is how long a script waits for anything. On a quiet machine everything takes
// about a second.
const patience = 90 * time.Second

// commands are the commands that scripts may use in addition to testscript's own:
//
//	exits STATUS PROGRAM [ARG…]
//	    runs the program and fails unless it has this exit status
//	push [-amend] DIR SUBJECT
//	    makes DIR the whole content of the next commit on main of the bare
//	    repository $REPO, which the first push creates; -amend replaces the
//	    previous commit, as a forced push does. Sets HEAD and SHORT
//	clusters
//	    gives the script a namespace of its own in three real clusters: see
//	    clustersCommand
//	cluster …
//	    reads and changes clusters as other users would: see clusterCommand
//	kubeconfig …
//	    changes the script's kubeconfig: see kubeconfigCommand
//	google PROJECT [FILE]
//	    serves a stand-in for Compute Engine: see googleCommand
//	waitlog FILE REGEXP
//	    waits until a line of a file, such as the log of a daemon, matches; the
//	    first group of the expression becomes $MATCH
//	waitreport [-at SHA] STATE [REGEXP…]
//	    waits until the daemon at http://$ADDRESS reports $HEAD, or SHA, with the
//	    state and in words that match, and prints its description and findings
//	waitexec REGEXP PROGRAM [ARG…]
//	    runs the program repeatedly until its standard output matches
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits":      exitsCommand,
		"push":       pushCommand,
		"clusters":   clustersCommand,
		"cluster":    clusterCommand,
		"kubeconfig": kubeconfigCommand,
		"google":     googleCommand,
		"waitlog":    waitlogCommand,
		"waitreport": waitreportCommand,
		"waitexec":   waitexecCommand,
	}
}

func exitsCommand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2, "exits STATUS PROGRAM [ARG…]")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func pushCommand(ts *testscript.TestScript, neg bool, args []string) {
	amend := len(args) > 0 && args[0] == "-amend"
	if amend {
		args = args[1:]
	}
	usage(ts, neg || len(args) != 2, "push [-amend] DIR SUBJECT")
	// Use the script's own git and settings, as its other commands do.
	repo, dir := ts.Getenv("REPO"), ts.MkAbs(args[0])
	if _, err := os.Stat(repo); errors.Is(err, fs.ErrNotExist) {
		ts.Check(ts.Exec("git", "init", "--quiet", "--bare", "--initial-branch=main", "--template=", repo))
	}
	git := func(args ...string) {
		ts.Check(ts.Exec("git", append([]string{"--git-dir=" + repo, "--work-tree=" + dir, "-c", "core.bare=false"}, args...)...))
	}
	git("add", "--all")
	commit := []string{"commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message", args[1]}
	if amend {
		commit = append(commit, "--amend")
	}
	git(commit...)
	git("rev-parse", "HEAD")
	sha := strings.TrimSpace(ts.ReadFile("stdout"))
	ts.Setenv("HEAD", sha)
	ts.Setenv("SHORT", sha[:7])
}

func waitlogCommand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "waitlog FILE REGEXP")
	file, want := ts.MkAbs(args[0]), compile(ts, args[1])
	var data []byte
	wait(ts, func() (bool, error) {
		var err error
		if data, err = os.ReadFile(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		m := want.FindSubmatch(data)
		if len(m) > 1 {
			ts.Setenv("MATCH", string(m[1]))
		}
		return m != nil, nil
	}, func() string { return fmt.Sprintf("nothing in %s matches %q:\n%s", args[0], args[1], data) })
}

func waitreportCommand(ts *testscript.TestScript, neg bool, args []string) {
	sha := ts.Getenv("HEAD")
	if len(args) > 1 && args[0] == "-at" {
		sha, args = args[1], args[2:]
	}
	usage(ts, neg || len(args) == 0, "waitreport [-at SHA] STATE [REGEXP…]")
	daemon := &lab.Daemon{URL: "http://" + ts.Getenv("ADDRESS")}
	var last string
	wait(ts, func() (bool, error) {
		report, err := daemon.Report(tb(ts).Context())
		if err != nil {
			last = err.Error()
			return false, nil //nolint:nilerr // The request is repeated until it succeeds.
		}
		last = words(report)
		if report.Revision.SHA != sha || string(report.State) != args[0] {
			return false, nil
		}
		for _, expression := range args[1:] {
			if !compile(ts, expression).MatchString(last) {
				return false, nil
			}
		}
		return true, nil
	}, func() string { return fmt.Sprintf("no report of %.7s with %q; the last:\n%s", sha, args, last) })
	fmt.Fprint(ts.Stdout(), last)
}

// words returns the text of a report for scripts to search.
func words(r *status.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n%s\n", r.Revision, r.State, r.Description)
	for _, c := range r.Clusters {
		fmt.Fprintf(&b, "%s: %s\n", c.Name, printer.ClusterLine(c))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s %s; %s\n", f.Severity, f.ID, f, f.Remedy)
	}
	return b.String()
}

func waitexecCommand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2, "waitexec REGEXP PROGRAM [ARG…]")
	want := compile(ts, args[0])
	var last string
	wait(ts, func() (bool, error) {
		err := ts.Exec(args[1], args[2:]...)
		last = ts.ReadFile("stdout")
		if err != nil {
			last += err.Error()
		}
		return err == nil && want.MatchString(last), nil
	}, func() string { return fmt.Sprintf("%s never printed %q; the last:\n%s", args[1], args[0], last) })
}

// expandFiles replaces ${NAME} in all files below a folder, except those whose names begin
// with a dot.
func expandFiles(dir string, getenv func(string) string) error {
	name := regexp.MustCompile(`\$\{[A-Z0-9_]+\}`)
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != dir && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		data = name.ReplaceAllFunc(data, func(found []byte) []byte {
			if value := getenv(string(found[2 : len(found)-1])); value != "" {
				return []byte(value)
			}
			return found // not known yet
		})
		return os.WriteFile(path, data, 0o644)
	})
}

// wait polls until a condition is true: another process has no event to wait for.
func wait(ts *testscript.TestScript, so func() (bool, error), otherwise func() string) {
	ctx, cancel := context.WithTimeout(tb(ts).Context(), patience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		done, err := so()
		ts.Check(err)
		if done {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("waited for %s: %s", patience, otherwise())
		case <-ticker.C:
		}
	}
}

func compile(ts *testscript.TestScript, expression string) *regexp.Regexp {
	re, err := regexp.Compile("(?m)" + expression)
	ts.Check(err)
	return re
}

func usage(ts *testscript.TestScript, wrong bool, text string) {
	if wrong {
		ts.Fatalf("usage: %s", text)
	}
}
