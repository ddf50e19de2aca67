package canary

import (
	"strings"
	"testing"
)

func TestEveryShapeIsFound(t *testing.T) {
	secret, second := New("a token"), New("another")
	for _, shape := range Shapes() {
		for name, text := range map[string]string{
			"alone":        shape.Write(secret),
			"in a message": "GET https://x/y: 403 Forbidden: you are " + shape.Write(secret) + ", and that is not enough",
		} {
			search := NewSearch(map[string]string{"a": secret, "b": second})
			found := search.In(text)
			if len(found) != 1 || found[0].Place != "a" {
				t.Errorf("%s, %s: found %v in %q", shape.Name, name, found, text)
			}
		}
	}
}

func TestAPieceIsFoundAndOtherTextIsNot(t *testing.T) {
	secret := New("a token")
	search := NewSearch(map[string]string{"a": secret, "key": "-----BEGIN PRIVATE KEY-----\n" + NewWord("key") + "\n-----END PRIVATE KEY-----\n"})
	if got := search.In("cut off: " + secret[:piece+1] + "…"); len(got) != 1 {
		t.Errorf("a piece: %v", got)
	}
	if got := search.In("line " + NewWord("key")[4:]); len(got) != 1 || got[0].Place != "key" {
		t.Errorf("a line of a key: %v", got)
	}
	for _, text := range []string{"", strings.Repeat("-----BEGIN PRIVATE KEY----- token ", 100), New("nothing"), Everywhere(New("nothing"))} {
		if got := search.In(text); len(got) != 0 {
			t.Errorf("%v in %q", got, text)
		}
	}
}
