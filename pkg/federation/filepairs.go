package federation

import (
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/internal/limit"
)

// read reads the selector of an app. One of more requirements or values than anybody
// writes is refused: it is matched with every cluster, again and again.
func (s *Selector) read(raw any) error {
	var written metav1.LabelSelector
	encoded, err := json.Marshal(raw)
	if err == nil {
		err = json.Unmarshal(encoded, &written)
	}
	// A value of the wrong type is left out, and the schema says so.
	if _, wrongType := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !wrongType {
		return err
	}
	requirements, values := len(written.MatchLabels)+len(written.MatchExpressions), len(written.MatchLabels)
	for _, r := range written.MatchExpressions {
		values += len(r.Values)
	}
	if requirements > limit.Requirements || values > limit.SelectorValues {
		return fmt.Errorf("the selector has %s requirements with %s values; at most %s and %s are allowed",
			limit.Number(requirements), limit.Number(values), limit.Number(limit.Requirements), limit.Number(limit.SelectorValues))
	}
	selector, err := metav1.LabelSelectorAsSelector(&written)
	if err == nil {
		*s = NewSelector(selector)
	}
	return err
}

// questions counts what the selector asks of a cluster's labels.
func (s Selector) questions() int {
	if s.selector == nil {
		return 0
	}
	n := 0
	requirements, _ := s.selector.Requirements()
	for _, r := range requirements {
		n += 1 + len(r.ValuesUnsorted())
	}
	return n
}

// pairs holds apps × clusters to what every plan can go through.
func (c *checker) pairs(f *Federation) {
	asked := 0
	for _, app := range f.Apps {
		asked += 1 + app.Selector.questions()
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
