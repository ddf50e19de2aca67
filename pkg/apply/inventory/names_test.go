package inventory

import (
	"strings"
	"testing"
)

func TestPartOfIsTheApplySetsIdentity(t *testing.T) {
	// printf %s fedsync-web-nginx.fedsync-system.ConfigMap. | sha256sum | cut -d' ' -f1 | xxd -r -p | basenc --base64url, without its padding.
	if got, want := PartOf("web", "nginx"), "applyset-zLRx0J38tQGLkW9G-_OxzHHliIMOXQS_E7DaNXIvOQY-v1"; got != want {
		t.Errorf("PartOf = %s, want %s", got, want)
	}
	if got := ParentSelector(strings.Repeat("x", 70)); len(got) > len(LabelFederation)+1+63 {
		t.Errorf("ParentSelector = %s, too long for a label", got)
	}
}
