package facts

import (
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
)

const (
	// maxQuestions is how many ReplicaSets of a cluster are requested at a time.
	maxQuestions = 4
	// maxOwners is how many answers are remembered, apart from those that pods need now.
	maxOwners = 1000
)

// owners tracks which Deployment a ReplicaSet belongs to. The ReplicaSets of Deployments
// are not watched, because most have no waiting pod: each that has one is requested only
// once.
//
// It sends no requests itself: questions come out, answers go in.
type owners struct {
	known     map[types.UID]types.UID // by ReplicaSet; empty for none
	questions map[types.UID]*question
	// refused is why ReplicaSets may not be read; empty if they may. While it is set, one
	// of them is requested at a time to check whether that has changed: at retry, and
	// then after pause.
	refused string
	pause   time.Duration
	retry   time.Time
}

// The pauses while ReplicaSets may not be read; those of a refused watch are the same.
const (
	firstRefused = time.Minute
	lastRefused  = 10 * time.Minute
)

type question struct {
	set    replicaSet
	asked  bool          // a request is running
	failed bool          // a request failed
	pause  time.Duration // before the next request
	at     time.Time     // when that is due; zero for now
}

func newOwners() owners {
	return owners{known: map[types.UID]types.UID{}, questions: map[types.UID]*question{}}
}

// of returns the UID of a ReplicaSet's Deployment, or empty for none, if it is known.
func (o *owners) of(set types.UID) (types.UID, bool) {
	owner, known := o.known[set]
	return owner, known
}

// ask adds a question if there is none yet. It reports whether to wait for the answer:
// not if a request has failed, or would.
func (o *owners) ask(set replicaSet) bool {
	q := o.questions[set.uid]
	if q == nil {
		q = &question{set: set}
		o.questions[set.uid] = q
	}
	return !q.failed && o.refused == ""
}

// learn records the owner of a ReplicaSet.
func (o *owners) learn(set, owner types.UID) {
	o.known[set] = owner
	delete(o.questions, set)
}

// due returns the questions to ask now, and marks them as asked. It drops questions that
// are no longer useful.
func (o *owners) due(now time.Time, useful func(set types.UID) bool) []replicaSet {
	asked := 0
	for uid, q := range o.questions {
		switch {
		case q.asked:
			asked++
		case !useful(uid):
			delete(o.questions, uid)
		}
	}
	most := maxQuestions
	if o.refused != "" {
		most = 1
		if now.Before(o.retry) {
			return nil
		}
	}
	var due []replicaSet
	for _, q := range o.questions {
		if asked < most && !q.asked && (o.refused != "" || !now.Before(q.at)) {
			q.asked = true
			asked++
			due = append(due, q.set)
		}
	}
	return due
}

// next returns when the next question becomes due; zero for never.
func (o *owners) next(now time.Time) time.Time {
	var next time.Time
	for _, q := range o.questions {
		at := q.at
		if o.refused != "" {
			at = o.retry
		}
		if !q.asked && now.Before(at) {
			next = earliest(next, at)
		}
	}
	return next
}

// open reports whether a question has neither an answer nor a failure yet, and may be
// answered soon.
func (o *owners) open() bool {
	if o.refused != "" {
		return false
	}
	for _, q := range o.questions {
		if !q.failed {
			return true
		}
	}
	return false
}

// answer records the result of a question.
func (o *owners) answer(now time.Time, set replicaSet, found metav1.Object, err error) {
	switch {
	case apierrors.IsNotFound(err):
		o.learn(set.uid, "") // its pods will be gone soon
	case err != nil:
		o.fail(now, set, err)
		return
	case found.GetUID() != set.uid:
		o.learn(set.uid, "") // another one of that name
	default:
		o.learn(set.uid, ownerOf(found))
	}
	if o.refused != "" {
		o.refused, o.pause, o.retry = "", 0, time.Time{}
		for _, q := range o.questions {
			q.at = time.Time{}
		}
	}
}

func (o *owners) fail(now time.Time, set replicaSet, err error) {
	if failure.Of(err).Class == federation.FailureForbidden && o.refused == "" {
		o.refused = refusal(set, err)
	}
	// Requests that were running are refused together with the first.
	if o.refused != "" && !now.Before(o.retry) {
		o.pause = min(max(2*o.pause, firstRefused), lastRefused)
		o.retry = now.Add(o.pause)
	}
	if q := o.questions[set.uid]; q != nil {
		q.asked, q.failed = false, true
		q.pause = min(max(2*q.pause, time.Second), time.Minute)
		q.at = now.Add(q.pause)
	}
}

// refusal returns the reason without the name of the ReplicaSet, which differs each time.
func refusal(set replicaSet, err error) string {
	text := strings.ReplaceAll(err.Error(), fmt.Sprintf(" %q", set.name), "")
	text = strings.ReplaceAll(text, fmt.Sprintf(" in the namespace %q", set.namespace), "")
	return untrusted.Line("get replicasets.apps: " + text)
}

// forget drops unneeded answers if there are many.
func (o *owners) forget(useful func(set types.UID) bool) {
	if len(o.known) <= maxOwners {
		return
	}
	for uid := range o.known {
		if !useful(uid) {
			delete(o.known, uid)
		}
	}
}

// ownerOf returns the UID of the Deployment that a ReplicaSet belongs to; empty for none.
func ownerOf(set metav1.Object) types.UID {
	controller := metav1.GetControllerOf(set)
	if controller == nil || controller.Kind != live.KindDeployment {
		return ""
	}
	return controller.UID
}
