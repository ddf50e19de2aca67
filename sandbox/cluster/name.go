package cluster

import (
	"fmt"
	"strings"
)

// Zone is the zone in which a cluster pretends to run. The cluster's name derives from it.
type Zone struct {
	Region string // "asia-east1"
	Letter string // "a"
}

// Name returns the name of the cluster and of its context: "gce-asia-east1a".
func (z Zone) Name() string { return "gce-" + z.Region + z.Letter }

func (z Zone) String() string { return z.Region + "-" + z.Letter }

// Zones returns the zones of the first n clusters, all different. The first 13 are
// those of the Federated Ingress guide of Kubernetes 1.4. Their order spreads even a
// few clusters over continents.
func Zones(n int) ([]Zone, error) {
	if n < 1 || n > len(guide)+len(further)*len(letters) {
		return nil, fmt.Errorf("clusters: %d is out of range: want 1 to %d", n, len(guide)+len(further)*len(letters))
	}
	zones := make([]Zone, 0, n)
	for _, name := range guide[:min(n, len(guide))] {
		zones = append(zones, Zone{Region: name[:len(name)-1], Letter: name[len(name)-1:]})
	}
	for i := range n - len(zones) {
		zones = append(zones, Zone{Region: further[i%len(further)], Letter: string(letters[i/len(further)])})
	}
	return zones, nil
}

const letters = "abc"

var (
	guide = strings.Fields(`
		asia-east1a europe-west1b us-east1b us-central1a
		asia-east1b europe-west1c us-east1c us-central1b
		asia-east1c europe-west1d us-east1d us-central1c us-central1f`)

	further = strings.Fields(`
		australia-southeast1 southamerica-east1 asia-northeast1 europe-west2 us-west1
		asia-south1 europe-north1 northamerica-northeast1 asia-southeast1 europe-west3
		us-west2 europe-west4 us-east4`)
)
