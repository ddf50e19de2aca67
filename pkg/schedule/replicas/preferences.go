package replicas

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
)

// Everywhere is the key in preferences for every cluster that they do not name.
const Everywhere = "*"

// Unbounded is the Max of a cluster that has none.
const Unbounded = math.MaxInt64

// maxWeight keeps the sum of all weights within an int64.
const maxWeight = math.MaxInt32

// Preferences state how the replicas of a workload are divided among clusters. The
// zero Preferences are those of an object without the annotation: every cluster has
// weight 1, and running replicas stay where they are.
type Preferences struct {
	// Rebalance allows running replicas to move to other clusters.
	Rebalance bool
	// Clusters holds the preferences by cluster name or Everywhere. A cluster that
	// is neither named nor covered by Everywhere gets no replicas. If the map is nil,
	// every cluster has weight 1.
	Clusters map[string]ClusterPreferences
}

// ClusterPreferences are the preferences for one cluster.
type ClusterPreferences struct {
	Min, Max int64 // 0 <= Min <= Max; Unbounded for no Max
	Weight   int64 // the cluster's part of the total that the minima leave; 0 for none
}

// ParsePreferences reads the value of one of Federation v1's annotations,
// federation.kubernetes.io/replica-set-preferences or deployment-preferences:
//
//	{"rebalance": true, "clusters": {"*": {"minReplicas": 1, "maxReplicas": 5, "weight": 1}}}
//
// Federation v1 used its defaults if it could not read the value. Here that is an error
// that quotes the value.
func ParsePreferences(annotation string) (Preferences, error) {
	if len(annotation) > limit.AnnotationBytes {
		return Preferences{}, limit.Annotation(annotation)
	}
	p, err := parsePreferences(annotation)
	if err != nil {
		return Preferences{}, fmt.Errorf("preferences %s: %s", limit.Quote(annotation), limit.Text(err.Error(), limit.MessageBytes/2))
	}
	return p, nil
}

func parsePreferences(annotation string) (Preferences, error) {
	d := json.NewDecoder(strings.NewReader(annotation))
	d.UseNumber()
	p := Preferences{Clusters: map[string]ClusterPreferences{}}
	err := eachField(d, "the value", func(field string) error {
		switch field {
		case "rebalance":
			return readBool(d, field, &p.Rebalance)
		case "clusters":
			return eachField(d, field, func(cluster string) (err error) {
				p.Clusters[cluster], err = readCluster(d, cluster)
				return err
			})
		}
		return fmt.Errorf("unknown field %q: want rebalance or clusters", field)
	})
	if err != nil {
		return Preferences{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Preferences{}, errors.New("not JSON: something follows the closing brace")
	}
	return p, nil
}

func readCluster(d *json.Decoder, cluster string) (ClusterPreferences, error) {
	p := ClusterPreferences{Max: Unbounded}
	err := eachField(d, fmt.Sprintf("cluster %q", cluster), func(field string) error {
		switch field {
		case "minReplicas":
			return readCount(d, cluster, field, &p.Min)
		case "maxReplicas":
			return readCount(d, cluster, field, &p.Max)
		case "weight":
			return readCount(d, cluster, field, &p.Weight)
		}
		return fmt.Errorf("cluster %q: unknown field %q: want minReplicas, maxReplicas or weight", cluster, field)
	})
	switch {
	case err != nil:
		return p, err
	case p.Max < p.Min:
		return p, fmt.Errorf("cluster %q: maxReplicas %d is less than minReplicas %d", cluster, p.Max, p.Min)
	case p.Weight > maxWeight:
		return p, fmt.Errorf("cluster %q: weight %d is more than %d", cluster, p.Weight, maxWeight)
	}
	return p, nil
}

// eachField reads one JSON object and calls read at the value of each field. Unlike
// encoding/json, it refuses duplicate fields and names in another letter case.
func eachField(d *json.Decoder, what string, read func(field string) error) error {
	if t, err := token(d); err != nil {
		return err
	} else if t != json.Delim('{') {
		return fmt.Errorf("%s is %s, not an object", what, describe(t))
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := token(d)
		if err != nil {
			return err
		}
		field, ok := t.(string)
		if !ok {
			return fmt.Errorf("not JSON: %s where a field's name should be", describe(t))
		}
		if seen[field] {
			return fmt.Errorf("%q is listed twice in %s", field, what)
		}
		seen[field] = true
		if err := read(field); err != nil {
			return err
		}
	}
	_, err := token(d)
	return err
}

func readBool(d *json.Decoder, field string, to *bool) error {
	t, err := token(d)
	if err != nil {
		return err
	}
	value, ok := t.(bool)
	if !ok {
		return fmt.Errorf("%s is %s, not true or false", field, describe(t))
	}
	*to = value
	return nil
}

func readCount(d *json.Decoder, cluster, field string, to *int64) error {
	t, err := token(d)
	if err != nil {
		return err
	}
	number, ok := t.(json.Number)
	if !ok {
		return fmt.Errorf("cluster %q: %s is %s, not a number", cluster, field, describe(t))
	}
	value, err := strconv.ParseInt(number.String(), 10, 64)
	switch {
	case err != nil:
		return fmt.Errorf("cluster %q: %s is %s, not a whole number", cluster, field, number)
	case value < 0:
		return fmt.Errorf("cluster %q: %s is %d, but must not be negative", cluster, field, value)
	}
	*to = value
	return nil
}

func token(d *json.Decoder) (json.Token, error) {
	t, err := d.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return t, nil
}

// describe returns a JSON value as it is in the annotation, and only the type of a list
// or object.
func describe(t json.Token) string {
	switch t := t.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(t)
	case json.Delim:
		if t == '[' {
			return "a list"
		}
		return "an object"
	}
	return fmt.Sprint(t)
}

// of returns the preferences for a cluster, and reports whether they cover it.
func (p Preferences) of(cluster string) (ClusterPreferences, bool) {
	if p.Clusters == nil {
		return ClusterPreferences{Max: Unbounded, Weight: 1}, true
	}
	if c, ok := p.Clusters[cluster]; ok {
		return c, true
	}
	c, ok := p.Clusters[Everywhere]
	return c, ok
}
