package fedfile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
)

// fileOf returns a fedsync.yaml with the given numbers of clusters and apps. cluster and app
// return the entry at an index.
func fileOf(clusters, apps int, cluster, app func(i int) string) []byte {
	var b strings.Builder
	b.WriteString("apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec:\n  clusters:\n")
	for i := range clusters {
		b.WriteString("  - " + cluster(i) + "\n")
	}
	b.WriteString("  apps:\n")
	for i := range apps {
		b.WriteString("  - " + app(i) + "\n")
	}
	return []byte(b.String())
}

func plainCluster(i int) string { return fmt.Sprintf("{name: c%d, labels: {n: '%d'}}", i, i) }
func plainApp(i int) string     { return fmt.Sprintf("{name: a%d, path: apps/a%d}", i, i) }

func TestParseAcceptsTheLargestFederations(t *testing.T) {
	for _, c := range []struct {
		clusters, apps int
		app            func(i int) string
	}{
		{limit.Clusters, 40, plainApp},
		{40, limit.Apps, plainApp},
		{200, 1000, plainApp},
		{1000, 500, func(i int) string {
			return plainApp(i)[:len(plainApp(i))-1] + fmt.Sprintf(", clusterSelector: {matchLabels: {n: '%d'}}}", i)
		}},
	} {
		f, err := fedfile.Parse("", fileOf(c.clusters, c.apps, plainCluster, c.app))
		if err != nil || len(f.Clusters) != c.clusters || len(f.Apps) != c.apps {
			t.Errorf("Parse of %d clusters and %d apps = %v", c.clusters, c.apps, err)
		}
	}
}

func TestParseRefusesFilesAboveTheLimits(t *testing.T) {
	labels := func(n int, valid string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%s%d: x, ", valid, i)
		}
		return b.String()
	}
	selector := func(n int) string { return "{matchLabels: {" + labels(n, "k") + "}}" }
	wrongCluster := func(int) string { return "{name: 1, labels: 2}" }
	bomb := "{name: c, labels: &a {" + labels(1000, "k") + "}, x: [" + strings.Repeat("*a, ", 4999) + "*a]}"
	cases := []struct {
		name string
		file []byte
		want string
	}{
		{"clusters", fileOf(5001, 1, plainCluster, plainApp), "fedsync.yaml:5: spec.clusters: the list has 5,001 entries; at most 5,000 are allowed"},
		{"apps", fileOf(3, 30_000, plainCluster, plainApp), "spec.apps: the list has 30,000 entries; at most 5,000 are allowed"},
		{"pairs", fileOf(2000, 2000, plainCluster, plainApp), "matching the selectors of 2,000 apps with 2,000 clusters takes 4,000,000 comparisons; at most 2,000,000 are allowed"},
		{"placements", fileOf(1000, 201, plainCluster, plainApp), "201 apps on 1,000 clusters make 201,000 placements; at most 200,000 are allowed"},
		{"labels", fileOf(1, 1, func(int) string { return "{name: c, labels: {" + labels(100_000, "-bad") + "}}" }, plainApp), "spec.clusters[0].labels: the map has 100,000 keys; at most 1,000 are allowed"},
		{"requirements", fileOf(1, 1, plainCluster, func(int) string { return "{name: a, path: a, clusterSelector: " + selector(101) + "}" }), "the selector has 101 requirements with 101 values; at most 100 and 1,000 are allowed"},
		{"values", fileOf(1, 1, plainCluster, func(int) string { return bomb }), "the file unfolds to more than 128 MiB"},
		{"path", fileOf(1, 1, plainCluster, func(int) string { return "{name: a, path: " + strings.Repeat("a/", 100_000) + "a}" }), "is longer than 4,096 bytes"},
		{"bad labels", fileOf(5000, 1, func(i int) string { return fmt.Sprintf("{name: c%d, labels: {%s}}", i, labels(10, "-bad")) }, plainApp), "and 49,950 more"},
		{"wrong types", fileOf(5000, 1, wrongCluster, plainApp), "and 9,950 more"},
		{"one folder", fileOf(3, 5000, plainCluster, func(i int) string { return fmt.Sprintf("{name: a%d, path: apps}", i) }), "and 4,949 more"},
		{"nested", fileOf(3, 5000, plainCluster, func(i int) string { return fmt.Sprintf("{name: a%d, path: a%s}", i, strings.Repeat("/a", i%1000)) }), "more"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			_, err := fedfile.Parse("", c.file)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("Parse took %s", took)
			}
			found, ok := errors.AsType[fedfile.Errors](err)
			if !ok || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Parse = %.500v, want %q", err, c.want)
			}
			if len(found) > limit.Mistakes+1 {
				t.Errorf("Parse found %d mistakes, want at most %d", len(found), limit.Mistakes+1)
			}
			for _, one := range found {
				if len(one.Error()) > 2*limit.MessageBytes {
					t.Errorf("a message has %d bytes", len(one.Error()))
				}
				if one.File != federation.FileName {
					t.Errorf("%q names no file", one.Error())
				}
			}
		})
	}
}

// The selection of mistakes from a file with too many of them must be deterministic: each
// difference is a new commit status.
func TestParseReportsTheSameMistakesEachTime(t *testing.T) {
	file := fileOf(500, 1, func(int) string { return "{title: 1, labels: 2, drain: 3, weight: x, zone: 9}" }, plainApp)
	_, first := fedfile.Parse("", file)
	for range 5 {
		if _, err := fedfile.Parse("", file); err == nil || err.Error() != first.Error() {
			t.Fatalf("Parse = %v\nthen %v", first, err)
		}
	}
}
