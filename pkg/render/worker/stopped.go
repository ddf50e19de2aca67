package worker

import (
	"fmt"
	"time"
)

// stopped is the work that had to be stopped, by its key. Equal work would have to
// be stopped again, and a stream of pushes with it in them would delay each; so it
// is remembered, like what was built, for as long as renderings have it. It is
// forgotten with the process of the daemon.
type stopped map[string]*stop

type stop struct {
	refusal

	renderings int // since it was stopped
}

// patientStops is how many pieces of work get all of their time in one rendering
// before they are stopped.
const patientStops = 3

// maxRemembered bounds what is remembered, and with it the size of a request.
const maxRemembered = 1000

// retried is after how many renderings stopped work is tried again.
const retried = 20

// turn begins a rendering.
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

const remedy = "make it smaller: fewer objects and copies in one kustomization, or plain manifests; until then what runs is kept as it is"

const remedyForAll = "fewer and smaller apps and overlays take less; until then what runs is kept as it is"

func tooLong(limit time.Duration, before int) refusal {
	reason := fmt.Sprintf("the build takes longer than %s of processor time", limit)
	if before >= patientStops {
		reason += fmt.Sprintf(", which is what there is after %d others exceeded a limit", before)
	}
	return refusal{Reason: reason, Remedy: remedy}
}

func tooMuch(limit int64) refusal {
	return refusal{Reason: fmt.Sprintf("the build takes more than %d MiB of memory", limit>>20), Remedy: remedy}
}
