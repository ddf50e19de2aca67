package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// source is one pinned module and what is built from it.
type source struct {
	name     string             // its directory below programs/
	module   string             // the module whose version names the build
	commands map[Program]string // the package of each program
	tags     string
	cgo      string
	ldflags  func(version string) string
	static   []string // directories of the module that the program reads at run time
}

// staticDir is the directory, next to the program, with the copies of source.static.
const staticDir = "static"

// Static returns the directory with the files that the forge reads at run time.
func (p Paths) Static() string { return filepath.Join(filepath.Dir(p[Gitea]), staticDir) }

var sources = []source{{
	name:     "etcd",
	module:   "go.etcd.io/etcd/server/v3",
	commands: map[Program]string{Etcd: "go.etcd.io/etcd/server/v3"},
	cgo:      "0",
	ldflags:  stripped,
}, {
	name:   "kubernetes",
	module: "k8s.io/kubernetes",
	commands: map[Program]string{
		APIServer:         "k8s.io/kubernetes/cmd/kube-apiserver",
		ControllerManager: "k8s.io/kubernetes/cmd/kube-controller-manager",
		Scheduler:         "k8s.io/kubernetes/cmd/kube-scheduler",
	},
	cgo: "0",
	// Kubernetes does not take its version from the module. Without these flags the
	// API server has version v0.0.0, and refuses to emulate it.
	ldflags: func(version string) string {
		const v = " -X k8s.io/component-base/version."
		parts := strings.Split(strings.TrimPrefix(version, "v"), ".")
		return stripped(version) + v + "gitVersion=" + version + v + "gitMajor=" + parts[0] + v + "gitMinor=" + parts[1]
	},
}, {
	name:     "kwok",
	module:   "sigs.k8s.io/kwok",
	commands: map[Program]string{Kwok: "sigs.k8s.io/kwok/cmd/kwok"},
	cgo:      "0",
	ldflags:  stripped,
}, {
	name:     "gitea",
	module:   "code.gitea.io/gitea",
	commands: map[Program]string{Gitea: "code.gitea.io/gitea"},
	tags:     "sqlite,sqlite_unlock_notify",
	cgo:      "1", // its SQLite is written in C
	ldflags:  stripped,
	static:   []string{"options", "public", "templates"},
}}

func stripped(string) string { return "-s -w" }

func (s Set) sources(forge bool) []source {
	var wanted []source
	for _, src := range sources {
		if src.name != "gitea" || forge {
			wanted = append(wanted, src)
		}
	}
	return wanted
}

// programs returns the programs that are built from src, sorted.
func (src source) programs() []Program {
	var all []Program
	for p := range src.commands {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// complete reports whether dir has program p and all the static files of src.
func (src source) complete(dir string, p Program) bool {
	for _, folder := range src.static {
		if _, err := os.Stat(filepath.Join(dir, staticDir, folder)); err != nil {
			return false
		}
	}
	return executable(dir, p)
}
