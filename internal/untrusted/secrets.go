package untrusted

import (
	"strings"

	"github.com/fedsync/fedsync/internal/secret"
)

// Secrets holds texts that must not be shown. A nil Secrets is empty.
type Secrets struct{ set *secret.Set }

// NewSecrets returns the secrets with these values. Each value and each of its lines
// is masked, in every shape that package secret knows. Values of fewer than four
// bytes are left out.
func NewSecrets(values ...string) *Secrets {
	var all []string
	for _, value := range values {
		all = append(all, value, strings.TrimSpace(value))
		for line := range strings.Lines(value) {
			if !strings.HasPrefix(line, "-----") { // PEM markers, equal in all keys
				all = append(all, strings.TrimSpace(line))
			}
		}
	}
	return Known(secret.New(all...))
}

// Known returns the secrets of a set, including those that it learns later.
func Known(set *secret.Set) *Secrets { return &Secrets{set} }

// Mask replaces the secrets in a text, and changes nothing else. Its time is
// proportional to the length of the text.
func (s *Secrets) Mask(text string) string {
	if s == nil {
		return text
	}
	return s.set.Mask(text)
}
