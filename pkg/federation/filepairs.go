package federation

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedsync/fedsync/internal/limit"
)

// selectorOf parses the selector of an app. One of more requirements or values than
// anybody writes is refused: it is matched with every cluster, again and again.
func selectorOf(s *metav1.LabelSelector) (labels.Selector, error) {
	requirements, values := questions(s)
	if requirements > limit.Requirements || values > limit.SelectorValues {
		return nil, fmt.Errorf("the selector has %s requirements with %s values; at most %s and %s are allowed",
			limit.Number(requirements), limit.Number(values), limit.Number(limit.Requirements), limit.Number(limit.SelectorValues))
	}
	return metav1.LabelSelectorAsSelector(s)
}

// questions counts what a selector asks of a cluster's labels.
func questions(s *metav1.LabelSelector) (requirements, values int) {
	if s == nil {
		return 0, 0
	}
	for _, r := range s.MatchExpressions {
		values += len(r.Values)
	}
	return len(s.MatchLabels) + len(s.MatchExpressions), values + len(s.MatchLabels)
}

// pairs holds apps × clusters to what every plan can go through.
func (c *checker) pairs(f *fedsyncFile) {
	asked := 0
	for _, app := range f.Spec.Apps {
		requirements, values := questions(app.ClusterSelector)
		asked += 1 + requirements + values
	}
	if all := asked * len(f.Spec.Clusters); all > limit.Comparisons {
		c.problem(fmt.Sprintf("%s apps with what their selectors ask of %s clusters make %s comparisons; at most %s are allowed: use fewer apps, or several federations",
			limit.Number(len(f.Spec.Apps)), limit.Number(len(f.Spec.Clusters)), limit.Number(all), limit.Number(limit.Comparisons)), "spec", "apps")
		return
	}
	placements := 0
	for _, app := range f.Spec.Apps {
		selector := app.app().Selector
		for _, cluster := range f.Spec.Clusters {
			if selector.Matches(Cluster{Labels: cluster.Labels}) {
				placements++
			}
		}
	}
	if placements > limit.Placements {
		c.problem(fmt.Sprintf("%s apps go to %s clusters %s times in all; at most %s are allowed: give them selectors, or use several federations",
			limit.Number(len(f.Spec.Apps)), limit.Number(len(f.Spec.Clusters)), limit.Number(placements), limit.Number(limit.Placements)), "spec", "apps")
	}
}
