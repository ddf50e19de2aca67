package doctor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestAnUnreadableRepositoryIsReportedWithItsRemedy(t *testing.T) {
	for _, c := range []struct {
		err    error
		remedy string
	}{
		{&source.RefError{Repository: "r", Ref: "main", Branches: []string{"trunk"}, Total: 1}, "push the branch again, or set --revision to an existing one"},
		{&source.Error{Repository: "r", Kind: source.ErrUnauthorised, Remedy: "renew the token in file"}, "renew the token in file"},
		{&source.Error{Repository: "r", Kind: source.ErrUnreachable}, "check the repository's address, its credentials and the network"},
		{errors.New("another"), "check the repository's address, its credentials and the network"},
	} {
		r := status.Summarise(status.Input{
			Federation: &federation.Federation{Name: "web"}, Now: time.Now(),
			Source: untrusted.Excerpt(c.err.Error()), SourceRemedy: SourceRemedy(c.err),
		})
		want := c.remedy + "; the clusters stay unchanged until then"
		if len(r.Findings) != 1 || r.Findings[0].Remedy.String() != want || !strings.Contains(r.Findings[0].Message.String(), c.err.Error()) {
			t.Errorf("%v: findings %v, want one with the remedy %q", c.err, r.Findings, want)
		}
		if f := sourceFinding(c.err); f.Remedy.IsZero() {
			t.Errorf("%v: doctor has no remedy", c.err)
		}
	}
}
