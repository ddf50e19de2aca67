package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

// hand is another client of Compute Engine: an operator at a console, or another
// controller.
type hand struct {
	*compute.Service

	project string
}

func (w *cloudWorld) hand() *hand {
	w.t.Helper()
	api, err := compute.NewService(w.t.Context(), option.WithEndpoint(w.cloud.Endpoint), option.WithoutAuthentication(),
		option.WithHTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}))
	if err != nil {
		w.t.Fatal(err)
	}
	return &hand{Service: api, project: w.cloud.Project}
}

// wait waits for the operation that a call started.
func (h *hand) wait(ctx context.Context, op *compute.Operation, err error) error {
	for err == nil && op.Status != "DONE" {
		if op.Zone != "" {
			op, err = h.ZoneOperations.Wait(h.project, lastPart(op.Zone), op.Name).Context(ctx).Do()
		} else {
			op, err = h.GlobalOperations.Wait(h.project, op.Name).Context(ctx).Do()
		}
	}
	if err == nil && op.Error != nil {
		err = fmt.Errorf("%s: %s", op.Error.Errors[0].Code, op.Error.Errors[0].Message)
	}
	return err
}

// call is a call that changes something.
type call interface {
	Do(...googleapi.CallOption) (*compute.Operation, error)
}

// all makes calls one after the other and waits for each. A refusal with the given status
// counts as success.
func (h *hand) all(ctx context.Context, fine int, calls ...call) error {
	for _, c := range calls {
		op, err := c.Do()
		if isCode(err, fine) {
			continue
		}
		if err := h.wait(ctx, op, err); err != nil {
			return err
		}
	}
	return nil
}

// global returns the path of a global resource of the project: global("urlMaps/web").
func (h *hand) global(rest string) string { return "projects/" + h.project + "/global/" + rest }

func lastPart(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// isCode reports whether Compute Engine answered with a status.
func isCode(err error, code int) bool {
	refusal, ok := errors.AsType[*googleapi.Error](err)
	return ok && refusal.Code == code
}

// by makes calls as an operator would, and waits for them.
func (w *cloudWorld) by(h *hand, calls ...call) {
	w.t.Helper()
	if err := h.all(w.t.Context(), 0, calls...); err != nil {
		w.t.Fatalf("by hand: %v", err)
	}
}

// reserve reserves a global address by hand, and returns it.
func (w *cloudWorld) reserve(h *hand, name string) string {
	w.t.Helper()
	w.by(h, h.GlobalAddresses.Insert(h.project, &compute.Address{Name: name, IpVersion: "IPV4"}))
	address, err := h.GlobalAddresses.Get(h.project, name).Do()
	if err != nil {
		w.t.Fatal(err)
	}
	return address.Address
}
