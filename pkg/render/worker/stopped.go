package worker

import (
	"fmt"
	"time"
)

// stopped is the work that had to be stopped, by its key. Equal work would have to
// be stopped again, and would delay each of a stream of pushes, so it is
// remembered for some renderings. It is forgotten when the daemon ends.
type stopped map[string]*stop

type stop struct {
	refusal

	renderings int // since it was stopped
}

// patientStops is how many pieces of work in one rendering get their full time
// before they are stopped.
const patientStops = 3

// maxRemembered bounds the remembered work, and so the size of a request.
const maxRemembered = 1000

// retried is the number of renderings after which stopped work is tried again.
const retried = 20

// turn starts the next rendering.
func (s stopped) turn() {
	for key, one := range s {
		if one.renderings++; one.renderings > retried || len(s) > maxRemembered {
			delete(s, key)
		}
	}
}

func (s stopped) refusals() []refusal {
	list := make([]refusal, 0, len(s))
	for _, one := range s {
		list = append(list, one.refusal)
	}
	return list
}

const remedy = "make it smaller: fewer objects and copies in one kustomization, or plain manifests; until then the running objects are left unchanged"

const remedyForAll = "use fewer or smaller apps and overlays; until then the running objects are left unchanged"

func tooLong(limit time.Duration, before int) refusal {
	reason := fmt.Sprintf("the build takes longer than %s of processor time", limit)
	if before >= patientStops {
		reason += fmt.Sprintf(", the limit after %d others exceeded theirs", before)
	}
	return refusal{Reason: reason, Remedy: remedy}
}

func tooMuch(limit int64) refusal {
	return refusal{Reason: fmt.Sprintf("the build takes more than %d MiB of memory", limit>>20), Remedy: remedy}
}
