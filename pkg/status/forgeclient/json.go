package forgeclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Request is a request to a forge that has no client library of its own.
type Request struct {
	Method string
	Path   string            // below the client's base, escaped, with its query
	Header map[string]string // in addition to those of JSON
	Body   any               // as JSON; nil for none
	Into   any               // receives the answer's JSON; nil for nothing
}

// Answer is a forge's answer to a Request.
type Answer struct {
	Code   int // 0 if there was no answer
	Header http.Header
	Words  string // the body of a refusal, as sent
}

// Do makes a request. It returns an error if there is no answer or an unreadable one. A
// refusal is no error: its code is in the answer. authorize adds the credential.
func (c *Client) Do(ctx context.Context, r Request, authorize func(*http.Request)) (Answer, error) {
	req, err := r.request(ctx, c.Base)
	if err != nil {
		return Answer{}, err
	}
	authorize(req)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{}, c.Unanswered(ctx, err)
	}
	defer func() {
		_, _ = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
		_ = resp.Body.Close()
	}()
	a := Answer{Code: resp.StatusCode, Header: resp.Header}
	// 203 is not the forge's own answer: it comes from a proxy, or is a sign-in page.
	if a.Code < 200 || a.Code > 299 || a.Code == http.StatusNonAuthoritativeInfo {
		// The transport bounds it.
		words, _ := io.ReadAll(resp.Body) // a part of it is better than nothing
		a.Words = string(words)
		return a, nil
	}
	if r.Into == nil {
		return a, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(r.Into); err != nil {
		return Answer{}, fmt.Errorf("read the forge's answer: %w", c.Unanswered(ctx, err))
	}
	return a, nil
}

func (r Request) request(ctx context.Context, base string) (*http.Request, error) {
	var body io.Reader = http.NoBody
	if r.Body != nil {
		data, err := json.Marshal(r.Body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, base+r.Path, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "fedsync")
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	return req, nil
}
