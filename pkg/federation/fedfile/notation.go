package fedfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// readers decode the types that are one value in the file. Their errors report mistakes that
// the schema does not find.
var readers = map[reflect.Type]func(to, raw any) error{
	reflect.TypeFor[federation.PortRange]():  decoding(readPortRange),
	reflect.TypeFor[federation.PruneLimit](): decoding(readPruneLimit),
	reflect.TypeFor[federation.Selector]():   decoding(readSelector),
}

// fillers set implied fields that the file omits, and fields that are never in the file.
var fillers = map[reflect.Type]func(to any, given func(name string) bool){
	reflect.TypeFor[federation.ClusterFacts](): filling(fillCluster),
	reflect.TypeFor[federation.Workload]():     filling(fillWorkload),
	reflect.TypeFor[federation.ObjectRef]():    filling(fillRef),
	reflect.TypeFor[federation.Autoscaler]():   filling(fillAutoscaler),
	reflect.TypeFor[federation.IngressUID]():   filling(fillIngressUID),
}

func decoding[T any](read func(to *T, raw any) error) func(to, raw any) error {
	return func(to, raw any) error { return read(to.(*T), raw) }
}

func filling[T any](fill func(to *T, given func(name string) bool)) func(to any, given func(name string) bool) {
	return func(to any, given func(name string) bool) { fill(to.(*T), given) }
}

// readPruneLimit reads a percentage of an app's objects, such as 10%, or a count of them.
func readPruneLimit(l *federation.PruneLimit, raw any) error {
	switch raw := raw.(type) {
	case int64:
		*l = federation.PruneLimit{Count: int(raw), IsCount: true}
	case float64: // as in 1e3
		*l = federation.PruneLimit{Count: int(raw), IsCount: true}
	case string:
		*l = federation.PruneLimit{}
		l.Percent, _ = strconv.Atoi(strings.TrimSuffix(raw, "%")) // the schema refuses any other text
	}
	return nil
}

// readPortRange reads "30000-32767".
func readPortRange(p *federation.PortRange, raw any) error {
	text, ok := raw.(string)
	if !ok {
		return nil // the schema reports it
	}
	first, last, _ := strings.Cut(text, "-")
	from, errFrom := strconv.ParseInt(first, 10, 32)
	to, errTo := strconv.ParseInt(last, 10, 32)
	switch {
	case errFrom != nil || errTo != nil:
		return fmt.Errorf("%q is not a range: write it as 30000-32767", text)
	case from < 1 || to > 65535:
		return fmt.Errorf("%q is outside the valid ports, 1-65535", text)
	case from > to:
		return fmt.Errorf("%q ends before it begins: write %d-%d", text, to, from)
	}
	*p = federation.PortRange{First: int32(from), Last: int32(to)}
	return nil
}

// readSelector reads the selector of an app. It bounds the number of requirements and values,
// since every plan matches the selector with every cluster.
func readSelector(s *federation.Selector, raw any) error {
	var written metav1.LabelSelector
	encoded, err := json.Marshal(raw)
	if err == nil {
		err = json.Unmarshal(encoded, &written)
	}
	// A value of the wrong type is omitted, and the schema reports it.
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
		*s = federation.NewSelector(selector)
	}
	return err
}

func fillCluster(f *federation.ClusterFacts, given func(string) bool) {
	if !given("synced") {
		// The facts of a cluster that missed only a probe or two still count as current.
		f.Synced = f.State == federation.ClusterReady || f.State == federation.ClusterNotReady
	}
	if !given("outage") {
		f.Outage = f.State == federation.ClusterOffline
	}
}

func fillWorkload(w *federation.Workload, given func(string) bool) {
	if !given("current") {
		w.Current = w.Ready
	}
	if !given("limited") {
		w.Limited = w.Unschedulable > 0 || given("capacity")
	}
	switch {
	case !w.Limited:
		w.Capacity = 0
	case !given("capacity"):
		w.Capacity = max(0, w.Replicas-w.Unschedulable)
	}
}

func fillRef(r *federation.ObjectRef, given func(string) bool) {
	if given("group") {
		return
	}
	r.Group = ""
	if slices.Contains([]string{"ReplicaSet", "Deployment", "StatefulSet", "DaemonSet"}, r.Kind) {
		r.Group = "apps"
	}
}

// An autoscaler scales a workload in its own namespace.
func fillAutoscaler(a *federation.Autoscaler, _ func(string) bool) { a.Target.Namespace = a.Namespace }

// An IngressUID that is in the file is known.
func fillIngressUID(u *federation.IngressUID, _ func(string) bool) { u.Known = true }
