package fedfile

import (
	"fmt"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// pairs limits apps × clusters to what every plan can afford to process.
func (c *checker) pairs(f *federation.Federation) {
	perCluster := 0
	for _, app := range f.Apps {
		perCluster += 1 + app.Selector.Size()
	}
	if all := perCluster * len(f.Clusters); all > limit.Comparisons {
		c.problem(fmt.Sprintf("matching the selectors of %s apps with %s clusters takes %s comparisons; at most %s are allowed: use fewer apps, or several federations",
			limit.Number(len(f.Apps)), limit.Number(len(f.Clusters)), limit.Number(all), limit.Number(limit.Comparisons)), "spec", "apps")
		return
	}
	placements := 0
	for _, app := range f.Apps {
		for _, cluster := range f.Clusters {
			if app.Selector.Matches(cluster) {
				placements++
			}
		}
	}
	if placements > limit.Placements {
		c.problem(fmt.Sprintf("%s apps on %s clusters make %s placements; at most %s are allowed: give the apps selectors, or use several federations",
			limit.Number(len(f.Apps)), limit.Number(len(f.Clusters)), limit.Number(placements), limit.Number(limit.Placements)), "spec", "apps")
	}
}
