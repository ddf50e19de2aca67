package main

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/fedsync/fedsync/internal/badforge"
	"github.com/fedsync/fedsync/internal/badmember"
	"github.com/fedsync/fedsync/internal/canary"
)

// TestNoSecretComesOut runs a daemon with a canary in every place that may hold a secret.
// Its clusters, forge, Git server and proxies send back what they were sent, in each round
// in other shapes and in other places of their answers. Then all output is searched.
//
// In one round each server uses one shape and one place. There are enough rounds for every
// shape and every place; with FEDSYNC_TEST_LONG=1, for every combination of them. Other
// tests try all combinations with single clients.
func TestNoSecretComesOut(t *testing.T) {
	w := newNest(t)
	d := w.start()
	d.eventually("a first revision is reported", func() bool { return strings.Contains(d.get("/api/v1/report"), w.revision[:7]) })
	git := slices.DeleteFunc(slices.Concat(badforge.Echoes(), badforge.GitEchoes()), badforge.Echo.Push)
	// After any other answer the daemon does not use the forge for minutes.
	forge := slices.DeleteFunc(badforge.Echoes(), func(e badforge.Echo) bool {
		return !strings.HasSuffix(e.Name, "of 422") && !strings.HasSuffix(e.Name, "of 409")
	})
	shapes := canary.Shapes()
	rounds := max((len(git)+1)/2, len(shapes))
	if os.Getenv("FEDSYNC_TEST_LONG") != "" {
		rounds = len(git) * len(shapes) / 2
	}
	token := w.secrets["token of the Git server"]
	for i := range rounds {
		shape := shapes[(i+i/len(shapes))%len(shapes)]
		w.forge.SetMode(forge[i%len(forge)].Mode(shape))
		w.misbehave(i)
		// The Git server chooses what the daemon gets from Git.
		w.push(fmt.Sprintf("round %d %s", i, shape.Write(token)), shape.Write(token))
		for _, place := range []badforge.Echo{git[2*i%len(git)], git[(2*i+1)%len(git)]} {
			w.git.SetMode(place.Mode(shape))
			d.nudge()
			d.eventually(place.Name+" of the Git server was met", func() bool { return w.git.Asked() > 0 })
		}
		w.git.SetMode(badforge.Mode{})
		d.nudge()
		d.eventually(fmt.Sprintf("the revision of round %d is reported", i), func() bool { return strings.Contains(d.get("/api/v1/report"), w.revision) })
		d.look(fmt.Sprintf("round %d, %s", i, shape.Name))
	}
	d.strangers()
	d.look("the end")
	w.forge.SetMode(badforge.Mode{})
	w.push("the last "+token, token)
	d.nudge()
	d.eventually("a status was posted", func() bool {
		// The probe of the token uses a commit that does not exist.
		return slices.ContainsFunc(w.statuses(), func(posted string) bool { return !strings.Contains(posted, "/statuses/0000000") })
	})
	w.commands()
	w.wrongUsage()
	d.process()
	d.dump()
	w.files()
	w.objects()
	w.search.in("a commit status", strings.Join(w.statuses(), "\n"))
	for name, s := range map[string]*badforge.Server{"Git server": w.git, "forge": w.forge} {
		if strayed := s.Strayed(); len(strayed) > 0 {
			t.Errorf("the %s redirected credentials to another server: %.300s", name, strayed[0])
		}
	}
	for name, m := range w.members {
		if strayed := m.Strayed(); len(strayed) > 0 {
			t.Errorf("cluster %s redirected credentials to another server: %.300s", name, strayed[0])
		}
	}
}

// misbehave makes every member send back what it was sent, in refusals of writes or in
// objects.
func (w *nest) misbehave(round int) {
	names := []string{"echo in refusals", "echo in objects"}
	for i, name := range w.clusters() {
		for _, mode := range badmember.Modes() {
			if w.members[name] != nil && name != "good" && mode.Name == names[(round+i)%2] {
				w.members[name].SetMode(mode)
			}
		}
	}
}

// strangers sends requests with secrets, some of them valid, in places where they do not
// belong.
func (d *running) strangers() {
	wrong := d.secrets["secret that a stranger sends"]
	for _, r := range []struct {
		method, path string
		header       map[string]string
		body         string
	}{
		{http.MethodPost, "/webhook/gitea", map[string]string{"X-Gitea-Signature": wrong}, wrong},
		{http.MethodPost, "/webhook/gitea?secret=" + wrong, map[string]string{"Authorization": "Bearer " + wrong}, `{"secret":"` + wrong + `"}`},
		{http.MethodPost, "/webhook/gitea", map[string]string{"X-Gitea-Signature": strings.Repeat("ab", 32), "Cookie": wrong}, wrong},
		{http.MethodGet, "/webhook/gitea", map[string]string{"X-Gitlab-Token": wrong}, ""},
		{http.MethodPost, "/webhook/gitlab", map[string]string{"X-Gitlab-Token": wrong}, wrong},
		{http.MethodPost, "/webhook/gitlab", map[string]string{"Webhook-Id": wrong, "Webhook-Timestamp": wrong, "Webhook-Signature": "v1," + wrong}, ""},
		{http.MethodPost, "/webhook/github", map[string]string{"X-Hub-Signature-256": "sha256=" + wrong, "X-GitHub-Event": wrong}, wrong},
		{http.MethodPost, "/webhook/azuredevops", map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(wrong+":"+wrong))}, wrong},
		{http.MethodPost, "/webhook/bitbucket", map[string]string{"X-Event-Key": "diagnostics:ping", "X-Request-Id": wrong}, wrong},
		{http.MethodPost, "/webhook/generic", map[string]string{"X-Signature": "sha256=" + strings.Repeat("ab", 32), "X-Api-Key": wrong}, wrong},
		{http.MethodGet, "/?token=" + wrong, map[string]string{"Referer": "https://" + wrong + "/", "User-Agent": wrong}, ""},
		{http.MethodGet, "/api/v1/report?access_token=" + wrong, map[string]string{"If-None-Match": wrong, "Accept": wrong}, ""},
		{http.MethodGet, "/metrics", map[string]string{"Accept": wrong, "Accept-Encoding": wrong}, ""},
		{http.MethodPut, "/metrics", map[string]string{"Expect": wrong}, wrong},
	} {
		d.search.in("an answer to a stranger at "+r.path[:min(len(r.path), 12)], d.ask(r.method, r.path, r.header, r.body))
	}
}

// commands runs all commands that send requests, first in the normal state, then while the
// Git server sends back what it was sent.
func (w *nest) commands() {
	echoes, shapes := badforge.GitEchoes(), canary.Shapes()
	for i, mode := range []badforge.Mode{{}, echoes[0].Mode(shapes[6]), echoes[6].Mode(shapes[0])} {
		w.git.SetMode(mode)
		w.misbehave(i)
		var running sync.WaitGroup // most of them wait for clusters
		for _, args := range [][]string{
			{"doctor"},
			{"doctor", "-o", "json", "--log-level=debug"},
			{"status"},
			{"diff"},
			{"facts"},
			{"report"},
			{"restore", "token", "--list"},
			{"restore", "password", "ConfigMap/default/settings"},
			{"render"},
			{"render", "--explain"},
			{"firewall"},
			{"diff", "--revision", "nothing"},
		} {
			if !slices.Contains([]string{"restore", "render"}, args[0]) {
				args = append(args, "--timeout=2s")
			}
			running.Go(func() {
				stdout, stderr := w.run(args...)
				name := "fedsync " + strings.Join(args, " ")
				w.search.in("standard error of "+name, stderr)
				if args[0] != "render" || len(args) > 1 { // render prints the manifests
					w.search.in("standard output of "+name, stdout)
				}
			})
		}
		running.Wait()
	}
	w.git.SetMode(badforge.Mode{})
}

// wrongUsage passes secrets where they do not belong.
func (w *nest) wrongUsage() {
	token := w.secrets["token in a wrong place"]
	settings := filepath.Join(w.dir, "wrong.yaml")
	for name, args := range map[string][]string{
		"URL with a password": {"render", "--repo=https://ada:" + token + "@forge.example/web.git"},
		"URL with a token":    {"doctor", "--repo=https://" + token + "@forge.example/web.git"},
		"no URL":              {"doctor", "--repo=https://ada:" + token + "@forge example:x/web.git"},
		"scp with a password": {"report", "--repo=ada:" + token + "@forge.example:web.git"},
		"URL with a query":    {"report", "--repo=https://forge.example/web.git?private_token=" + token},
		"URL of the forge":    {"run", "--commit-status=gitea", "--forge-url=https://ada:" + token + "@forge.example"},
		"URL of the page":     {"run", "--public-url=https://ada:" + token + "@fedsync.example"},
		"URL of the cloud":    {"run", "--gcp-endpoint=http://ada:" + token + "@127.0.0.1/compute/v1/"},
		"unknown setting":     {"run", "--config=" + settings},
	} {
		if err := os.WriteFile(settings, []byte("token: "+token+"\n"), 0o600); err != nil {
			w.t.Fatal(err)
		}
		stdout, stderr := w.run(args...)
		w.search.in("wrong usage, "+name, stdout+stderr)
	}
}

// process searches what the system shows of the daemon and the rendering process.
func (d *running) process() {
	pid := strconv.Itoa(d.Pid)
	children, err := exec.Command("pgrep", "-P", pid).Output()
	if err != nil {
		d.t.Fatalf("the rendering process does not exist: %v", err)
	}
	for _, one := range append(strings.Fields(string(children)), pid) {
		for _, file := range []string{"cmdline", "comm", "status", "environ"} {
			text, err := os.ReadFile(filepath.Join("/proc", one, file))
			if err != nil || file == "environ" && one == pid { // the environment is one of the places
				continue
			}
			d.search.in("/proc/"+one+"/"+file, string(text))
		}
		limits, err := os.ReadFile(filepath.Join("/proc", one, "limits"))
		if core := lineWith(string(limits), "Max core file size"); err != nil || !slices.Contains(strings.Fields(core), "0") {
			d.t.Errorf("process %s may write core files: %q, %v", one, core, err)
		}
	}
}

func lineWith(text, begin string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begin) {
			return line
		}
	}
	return ""
}

// dump ends the daemon as a crash would: with all goroutines on standard error.
func (d *running) dump() {
	_ = syscall.Kill(d.Pid, syscall.SIGQUIT) // it may have ended
	<-d.Ended
	log := d.Log()
	if !strings.Contains(log, "goroutine ") || !strings.Contains(log, "DEBUG") {
		d.t.Errorf("the daemon ended without a dump, or logged nothing for debugging: %.2000s", log)
	}
	d.search.in("the log and the dump", log)
}

// files searches what was written to the cache, home and temporary folders.
func (w *nest) files() {
	for _, dir := range []string{".cache", "tmp"} {
		err := filepath.WalkDir(filepath.Join(w.dir, dir), func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(name)
			w.search.in("file "+name, name+"\n"+string(text))
			return err
		})
		if err != nil {
			w.t.Error(err)
		}
	}
}
