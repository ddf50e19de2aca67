package contexts

import (
	"testing"

	"github.com/fedsync/fedsync/pkg/config"
)

func TestAnEarlierStatusIsNotEndedUnderAContextThatIsNoLongerAllowed(t *testing.T) {
	for context, want := range map[string][2]bool{"ci/required": {}, "fedsync/web": {true, false}, "fedsync": {true, true}} {
		got := [2]bool{Patterns(config.New().StatusContexts).Grants(context), Patterns(nil).Grants(context)}
		if got != want {
			t.Errorf("%q may be ended by default and without a pattern: %v, want %v", context, got, want)
		}
	}
}
