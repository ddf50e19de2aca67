package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A change may be so large that the deadline passes before every object was checked.
// What was refused until then is known.
func TestDifferencesFoundBeforeTheDeadlineAreReturned(t *testing.T) {
	ref := func(name string) federation.ObjectRef { return federation.ObjectRef{Kind: "ConfigMap", Name: name} }
	refused := errors.New("denied by policy")
	got, err := answered([]Difference{
		{Object: ref("d"), Action: federation.ActionCreated},
		{Object: ref("c"), Action: federation.ActionUnchanged},
		{Object: ref("b"), Err: refused},
		{Object: ref("a"), Err: fmt.Errorf("apply a: %w", context.DeadlineExceeded)},
		{},
	}, context.DeadlineExceeded)
	if len(got) != 2 || got[0].Object != ref("b") || !errors.Is(got[0].Err, refused) || got[1].Object != ref("d") {
		t.Errorf("differences = %v, want b, which is refused, and d", got)
	}
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 of 5 objects were checked in time") {
		t.Errorf("error = %v, want it to count", err)
	}
}
