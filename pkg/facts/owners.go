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
	// maxQuestions is how many ReplicaSets of a cluster are asked for at a time.
	maxQuestions = 4
	// maxOwners is how many answers are kept, but for those that pods need now.
	maxOwners = 1000
)

// owners know which Deployment a ReplicaSet belongs to. The ReplicaSets of
// Deployments are not watched, as most have no pod that waits: each that has is
// asked for once.
//
// It asks nobody itself: questions come out, answers go in.
type owners struct {
	known     map[types.UID]types.UID // by ReplicaSet; empty for none
	questions map[types.UID]*question
	// refused is why ReplicaSets may not be read; empty where they may. Meanwhile one
	// is asked for at a time, to find out when they may again: pause is what lies
	// before the next time, which is retry.
	refused string
	pause   time.Duration
	retry   time.Time
}

// The pauses while ReplicaSets may not be read: those of a watch that is refused.
const (
	firstRefused = time.Minute
	lastRefused  = 10 * time.Minute
)

type question struct {
	set    replicaSet
	asked  bool          // an answer is under way
	failed bool          // it was asked for in vain
	pause  time.Duration // before the next time
	at     time.Time     // when that is; zero for now
}

func newOwners() owners {
	return owners{known: map[types.UID]types.UID{}, questions: map[types.UID]*question{}}
}

// of gives the UID of a ReplicaSet's Deployment, empty for none, if it is known.
func (o *owners) of(set types.UID) (types.UID, bool) {
	owner, known := o.known[set]
	return owner, known
}

// ask makes a question, if it is none yet, and says whether to wait for the
// answer: not if it was asked for in vain, or would be.
func (o *owners) ask(set replicaSet) bool {
	q := o.questions[set.uid]
	if q == nil {
		q = &question{set: set}
		o.questions[set.uid] = q
	}
	return !q.failed && o.refused == ""
}

// learn keeps whose a ReplicaSet is.
func (o *owners) learn(set, owner types.UID) {
	o.known[set] = owner
	delete(o.questions, set)
}

// due gives the questions that are to be asked now, and takes them as asked. One
// that is of no use any more is dropped.
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

// next is when a question is due that is not yet; zero for never.
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

// open says whether a question has not been answered at all, and may be soon.
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

// answer takes in what came of a question.
func (o *owners) answer(now time.Time, set replicaSet, found metav1.Object, err error) {
	switch {
	case apierrors.IsNotFound(err):
		o.learn(set.uid, "") // its pods will be gone soon
	case err != nil:
		o.fail(now, set, err)
		return
	case found.GetUID() != set.uid:
		o.learn(set.uid, "") // another of that name
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
	// Others that were under way are refused together with the first.
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

// refusal says why without the ReplicaSet, which is another one the next time.
func refusal(set replicaSet, err error) string {
	text := strings.ReplaceAll(err.Error(), fmt.Sprintf(" %q", set.name), "")
	text = strings.ReplaceAll(text, fmt.Sprintf(" in the namespace %q", set.namespace), "")
	return untrusted.Line("get replicasets.apps: " + text)
}

// forget drops answers that are of no use now, where there are many.
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

// ownerOf is the UID of the Deployment that a ReplicaSet belongs to; empty for
// none.
func ownerOf(set metav1.Object) types.UID {
	controller := metav1.GetControllerOf(set)
	if controller == nil || controller.Kind != live.KindDeployment {
		return ""
	}
	return controller.UID
}
