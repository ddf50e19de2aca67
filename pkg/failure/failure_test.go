package failure

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestAnswersHaveAClass(t *testing.T) {
	for code, want := range map[int]federation.FailureClass{
		200: federation.FailureNone,
		204: federation.FailureNone,
		401: federation.FailureUnauthorised,
		403: federation.FailureForbidden,
		429: federation.FailureThrottled,
		500: federation.FailureServer,
		502: federation.FailureServer,
		503: federation.FailureServer,
		504: federation.FailureServer,
		302: federation.FailureMisbehaves,
		307: federation.FailureMisbehaves,
		400: federation.FailureContext,
		404: federation.FailureContext,
	} {
		if got := OfAnswer(code, nil); got.Class != want || got.RetryAfter != 0 {
			t.Errorf("OfAnswer(%d) = %v, want %q", code, got, want)
		}
	}
	later := http.Header{"Retry-After": {"7"}}
	for code, want := range map[int]federation.FailureClass{
		429: federation.FailureThrottled,
		503: federation.FailureThrottled,
		500: federation.FailureServer,
		403: federation.FailureForbidden,
	} {
		if got := OfAnswer(code, later); got.Class != want || got.RetryAfter != 7*time.Second {
			t.Errorf("OfAnswer(%d, Retry-After: 7) = %v, want %q after 7 s", code, got, want)
		}
	}
}

func TestErrorsHaveAClass(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	dialled := func(err error) error {
		return &url.Error{Op: "Get", URL: "https://cluster", Err: &net.OpError{Op: "dial", Err: err}}
	}
	for name, c := range map[string]struct {
		err   error
		want  federation.FailureClass
		after time.Duration
	}{
		"none":                 {nil, federation.FailureNone, 0},
		"refused":              {dialled(syscall.ECONNREFUSED), federation.FailureRefused, 0},
		"reset":                {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, federation.FailureNetwork, 0},
		"host unreachable":     {dialled(syscall.EHOSTUNREACH), federation.FailureNetwork, 0},
		"net unreachable":      {dialled(syscall.ENETUNREACH), federation.FailureNetwork, 0},
		"kernel's timeout":     {dialled(syscall.ETIMEDOUT), federation.FailureTimeout, 0},
		"eof":                  {io.ErrUnexpectedEOF, federation.FailureNetwork, 0},
		"deadline":             {fmt.Errorf("list: %w", context.DeadlineExceeded), federation.FailureTimeout, 0},
		"slow name server":     {dialled(&net.DNSError{IsTimeout: true}), federation.FailureDNS, 0},
		"certificate":          {errors.New("x509: certificate has expired"), federation.FailureTLS, 0},
		"authority":            {fmt.Errorf("get: %w", x509.UnknownAuthorityError{}), federation.FailureTLS, 0},
		"anything else":        {errors.New("odd"), federation.FailureNetwork, 0},
		"answer: forbidden":    {fmt.Errorf("list: %w", apierrors.NewForbidden(pods, "", nil)), federation.FailureForbidden, 0},
		"answer: no such verb": {apierrors.NewMethodNotSupported(pods, "watch"), federation.FailureForbidden, 0},
		"answer: token":        {apierrors.NewUnauthorized("no"), federation.FailureUnauthorised, 0},
		"answer: server":       {apierrors.NewInternalError(errors.New("etcd")), federation.FailureServer, 0},
		"answer: etcd":         {apierrors.NewServerTimeout(pods, "list", 2), federation.FailureServer, 2 * time.Second},
		"answer: future":       {apierrors.NewTimeoutError("Too large resource version", 1), federation.FailureServer, time.Second},
		"answer: gone":         {apierrors.NewResourceExpired("too old"), federation.FailureServer, 0},
		"answer: overloaded":   {apierrors.NewTooManyRequests("wait", 3), federation.FailureThrottled, 3 * time.Second},
		"answer: no quota":     {apierrors.NewTooManyRequestsError("wait"), federation.FailureThrottled, 0},
		"answer: for ever":     {apierrors.NewTooManyRequests("wait", math.MaxInt32), federation.FailureThrottled, MaxRetryAfter},
		"answer: before now":   {apierrors.NewTooManyRequests("wait", -5), federation.FailureThrottled, 0},
		"answer: conflict":     {apierrors.NewConflict(pods, "a", nil), federation.FailureConflict, 0},
		"answer: exists":       {apierrors.NewAlreadyExists(pods, "a"), federation.FailureConflict, 0},
		"answer: invalid":      {apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "a", nil), federation.FailureInvalid, 0},
		"answer: bad request":  {apierrors.NewBadRequest("what"), federation.FailureInvalid, 0},
		"answer: too large":    {apierrors.NewRequestEntityTooLargeError("what"), federation.FailureInvalid, 0},
		"answer: not found":    {apierrors.NewNotFound(pods, "a"), federation.FailureContext, 0},
		"broken stream": {&apierrors.StatusError{ErrStatus: metav1.Status{Code: 500, Details: &metav1.StatusDetails{
			Causes: []metav1.StatusCause{{Type: "ClientWatchDecoding"}},
		}}}, federation.FailureNetwork, 0},
	} {
		if got := Of(c.err); got.Class != c.want || got.RetryAfter != c.after {
			t.Errorf("%s: Of(%v) = %v, want %q after %v", name, c.err, got, c.want, c.after)
		}
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                                0,
		"1":                               time.Second,
		" 120 ":                           2 * time.Minute,
		"1000000000":                      MaxRetryAfter,
		"99999999999999999999999999":      MaxRetryAfter,
		"-99999999999999999999999999":     0,
		"-1":                              0,
		"1.5":                             0,
		"soon":                            0,
		"Fri, 02 Jan 2026 03:04:15 GMT":   10 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT":   0,
		"Fri, 02 Jan 9999 03:04:15 GMT":   MaxRetryAfter,
		"Friday, 02-Jan-26 03:05:05 GMT":  time.Minute,
		strconv.Itoa(math.MaxInt64):       MaxRetryAfter,
		strconv.Itoa(math.MaxInt32) + "0": MaxRetryAfter,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("RetryAfter(%q) = %v, want %v", value, got, want)
		}
	}
}

// classes are all classes.
var classes = []federation.FailureClass{
	federation.FailureDNS, federation.FailureRefused, federation.FailureTimeout, federation.FailureTLS,
	federation.FailureNetwork, federation.FailureUnauthorised, federation.FailureForbidden, federation.FailureThrottled,
	federation.FailureServer, federation.FailureInvalid, federation.FailureConflict, federation.FailureContext,
}

func TestEveryClassHasWordsAndARemedyOfItsOwn(t *testing.T) {
	words, remedies := map[string]federation.FailureClass{}, map[string]federation.FailureClass{}
	for _, class := range classes {
		w, r := Words(class), Remedy(class, "gce")
		if w == "" || r == "" || words[w] != "" || remedies[r] != "" {
			t.Errorf("%s: words %q, remedy %q; want some, and those of no other class", class, w, r)
		}
		words[w], remedies[r] = class, class
	}
}

func TestPausesGrowAndObeyTheServer(t *testing.T) {
	for _, class := range classes {
		first, last := 500*time.Millisecond, 30*time.Second
		if RetryOf(class) == RetryChanged {
			first, last = 5*time.Second, 45*time.Second
		}
		for failures := range 70 {
			want := last
			if failures < 10 {
				want = min(last, first<<max(0, failures-1))
			}
			got := Failure{Class: class}.Pause(failures)
			if got < want*4/5 || got > want*6/5 {
				t.Errorf("%s: pause after failure %d = %v, want %v, a fifth more or less", class, failures, got, want)
			}
			// What a user has to change is tried within a minute of the change.
			if got > time.Minute {
				t.Errorf("%s: pause after failure %d = %v, want a minute at most", class, failures, got)
			}
			told := Failure{Class: class, RetryAfter: 2 * time.Minute}.Pause(failures)
			if told < 2*time.Minute || told > 144*time.Second {
				t.Errorf("%s: pause after failure %d and Retry-After of 2 minutes = %v", class, failures, told)
			}
		}
	}
}
