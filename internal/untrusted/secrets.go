package untrusted

import (
	"strings"

	"github.com/fedsync/fedsync/internal/secret"
)

// Secrets are texts that must not be shown. A nil one has none.
type Secrets struct{ set *secret.Set }

// NewSecrets returns the secrets with these values. Each is masked, and each of its
// lines, in every shape that package secret knows. Those of fewer than four bytes are
// left out.
func NewSecrets(values ...string) *Secrets {
	var all []string
	for _, value := range values {
		all = append(all, value, strings.TrimSpace(value))
		for line := range strings.Lines(value) {
			if !strings.HasPrefix(line, "-----") { // of PEM, and the same in all of them
				all = append(all, strings.TrimSpace(line))
			}
		}
	}
	return Known(secret.New(all...))
}

// Known returns the secrets of a set, those that it has yet to learn included.
func Known(set *secret.Set) *Secrets { return &Secrets{set} }

// Mask replaces the secrets in a text, and changes nothing else. It takes time in
// proportion to the text.
func (s *Secrets) Mask(text string) string {
	if s == nil {
		return text
	}
	return s.set.Mask(text)
}
