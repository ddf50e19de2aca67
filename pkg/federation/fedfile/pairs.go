package fedfile

import (
	"fmt"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// pairs holds apps × clusters to what every plan can go through.
func (c *checker) pairs(f *federation.Federation) {
	asked := 0
	for _, app := range f.Apps {
		asked += 1 + app.Selector.Size()
	}
	if all := asked * len(f.Clusters); all > limit.Comparisons {
		c.problem(fmt.Sprintf("%s apps with what their selectors ask of %s clusters make %s comparisons; at most %s are allowed: use fewer apps, or several federations",
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
		c.problem(fmt.Sprintf("%s apps go to %s clusters %s times in all; at most %s are allowed: give them selectors, or use several federations",
			limit.Number(len(f.Apps)), limit.Number(len(f.Clusters)), limit.Number(placements), limit.Number(limit.Placements)), "spec", "apps")
	}
}
