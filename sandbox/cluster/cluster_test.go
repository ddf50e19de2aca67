package cluster_test

import (
	"slices"
	"testing"

	"github.com/fedsync/fedsync/sandbox/cluster"
)

func TestThirteenClustersAreThoseOfTheGuide(t *testing.T) {
	zones, err := cluster.Zones(13)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, z := range zones {
		got = append(got, z.Name())
	}
	if got[0] != "gce-asia-east1a" || got[1] != "gce-europe-west1b" {
		t.Errorf("the first two are %v", got[:2])
	}
	slices.Sort(got)
	want := []string{
		"gce-asia-east1a", "gce-asia-east1b", "gce-asia-east1c",
		"gce-europe-west1b", "gce-europe-west1c", "gce-europe-west1d",
		"gce-us-central1a", "gce-us-central1b", "gce-us-central1c", "gce-us-central1f",
		"gce-us-east1b", "gce-us-east1c", "gce-us-east1d",
	}
	if !slices.Equal(got, want) {
		t.Errorf("13 clusters are %v, want %v", got, want)
	}
}

func TestNoTwoClustersShareAName(t *testing.T) {
	zones, err := cluster.Zones(52)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, z := range zones {
		if seen[z.Name()] {
			t.Errorf("two clusters are named %s", z.Name())
		}
		seen[z.Name()] = true
	}
	for _, n := range []int{-1, 0, 53} {
		if _, err := cluster.Zones(n); err == nil {
			t.Errorf("Zones(%d) succeeded", n)
		}
	}
}

func TestZoneIsWrittenAsComputeEngineWritesIt(t *testing.T) {
	z := cluster.Zone{Region: "asia-east1", Letter: "a"}
	if got, want := z.String(), "asia-east1-a"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
