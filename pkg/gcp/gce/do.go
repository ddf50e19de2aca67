package gce

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
)

// Do executes an action and waits until its operation is done. It is safe to repeat, even
// after an answer was lost. It never changes a resource without the mark of the action's
// owner. Its errors are *gcp.Error.
func (c *Client) Do(ctx context.Context, a gcp.Action) error {
	if err := refused(a); err != nil {
		return err
	}
	key, request := c.requestID(a)
	var err *gcp.Error
	switch a.Verb {
	case gcp.Create:
		err = c.create(ctx, a, request)
	case gcp.Update:
		err = c.update(ctx, a, request)
	case gcp.Attach, gcp.Detach:
		err = c.move(ctx, a, request)
	case gcp.Delete:
		err = c.remove(ctx, a, request)
	default:
		err = invalid(a, "there is no such action")
	}
	c.note(a, err == nil)
	if err == nil || err.Ended {
		c.forget(key)
	}
	if err != nil {
		return err
	}
	c.log.Debug("compute engine changed", zap.String("action", string(a.Verb)), zap.Stringer("resource", a.ID))
	return nil
}

// invalid returns the error of an action that is not sent.
func invalid(a gcp.Action, format string, args ...any) *gcp.Error {
	return &gcp.Error{ID: a.ID, Verb: a.Verb, Class: gcp.ClassInvalid, Err: fmt.Errorf(format, args...), Ended: true}
}

// refused returns why an action is not sent. An empty list in a firewall rule would mean
// everything, not nothing.
func refused(a gcp.Action) error {
	rule, ok := a.Want.Spec.(gcp.Firewall)
	if ok && (a.Verb == gcp.Create || a.Verb == gcp.Update) {
		switch {
		case len(rule.Tags) == 0:
			return invalid(a, "a rule without target tags would open every machine of the network")
		case len(rule.Ports) == 0:
			return invalid(a, "a rule without ports would open all ports")
		case len(rule.Ranges) == 0:
			return invalid(a, "a rule without source ranges would admit all clients")
		}
	}
	if a.Want.Mark.Federation == "" {
		return invalid(a, "fedsync changes only resources that bear its mark")
	}
	return nil
}

// note remembers that an action may have changed the endpoints of a group: they have to
// be read again, even if the action failed.
func (c *Client) note(a gcp.Action, done bool) {
	if a.ID.Kind != gcp.KindGroup {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	made := c.groups[a.ID].made
	if a.Verb == gcp.Create && done {
		made = time.Now()
	}
	if _, known := c.groups[a.ID]; known || !made.IsZero() {
		c.groups[a.ID] = groupRead{made: made}
	}
}

// justMade reports whether this process has just created an endpoint group, or found it
// to be ours when it tried: then its owner need not be read before endpoints are attached.
func (c *Client) justMade(id gcp.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.groups[id].made) < time.Minute
}

// projectOf returns the project of a resource. A firewall rule is in its network's
// project.
func (c *Client) projectOf(spec gcp.Spec) string {
	if rule, ok := spec.(gcp.Firewall); ok {
		return convert.NetworkProject(rule.Network, c.project)
	}
	return c.project
}

func (c *Client) create(ctx context.Context, a gcp.Action, request string) *gcp.Error {
	m, err := c.insertion(a)
	if err != nil {
		return err
	}
	failed := c.run(ctx, m, request)
	if failed == nil {
		return nil
	}
	if failed.exists() {
		return c.existing(ctx, a)
	}
	e := failed.fail(a.Verb, a.ID)
	switch {
	case failed.absent():
		e.Class = gcp.ClassOrder // a resource that it refers to does not exist yet
	case e.Class == gcp.ClassConflict && a.ID.Kind == gcp.KindRule:
		c.nameUsers(ctx, a, e)
	}
	return e
}

// existing returns the error for a resource that could not be created because its name is
// taken; nil if the resource is ours. Then an earlier attempt created it, and the next
// read shows whether it is as wanted.
func (c *Client) existing(ctx context.Context, a gcp.Action) *gcp.Error {
	_, description, err := c.fetch(ctx, a.ID, c.projectOf(a.Want.Spec))
	if err != nil {
		e := asError(err)
		e.Verb, e.Ended = a.Verb, true
		if e.Absent {
			e.Class, e.Err = gcp.ClassOrder, errors.New("it is being created or deleted")
		}
		return e
	}
	return notOurs(a, description)
}

// notOurs returns an error unless the description bears the mark of the action's owner.
func notOurs(a gcp.Action, description string) *gcp.Error {
	mark := gcp.ReadMark(description)
	if sameOwner(mark, a.Want.Mark) {
		return nil
	}
	whose := "it bears no mark of fedsync"
	switch {
	case mark.Federation != "" && mark.Federation != a.Want.Mark.Federation:
		whose = fmt.Sprintf("it belongs to federation %.60q", mark.Federation)
	case mark.Federation != "":
		whose = "it belongs to the same federation from another repository, branch or path"
	case description != "":
		whose = fmt.Sprintf("its description is %.80q", description)
	}
	return &gcp.Error{
		ID: a.ID, Verb: a.Verb, Class: gcp.ClassConflict, Ended: true,
		Err: errors.New("the name is taken by a resource that is not ours: " + whose),
	}
}

func sameOwner(a, b gcp.Mark) bool {
	return gcp.Owner{Federation: b.Federation, Source: b.Source}.Owns(a)
}

// nameUsers adds to the error the forwarding rules that use the address.
func (c *Client) nameUsers(ctx context.Context, a gcp.Action, e *gcp.Error) {
	rule, _ := a.Want.Spec.(gcp.Rule)
	if rule.Address.Name == "" {
		return
	}
	raw, _, err := c.fetch(ctx, rule.Address, c.project)
	address, ok := raw.(*compute.Address)
	if err != nil || !ok || len(address.Users) == 0 {
		return
	}
	var names []string
	for _, url := range address.Users {
		if l, ok := convert.ParseLink(url, c.project); ok {
			names = append(names, l.Name)
		}
	}
	slices.Sort(names)
	e.Err = fmt.Errorf("%w: %s is used by forwarding rules %s", e.Err, rule.Address, strings.Join(names, ", "))
}

// remove deletes a resource that bears the owner's mark. It succeeds if the resource is
// already gone.
func (c *Client) remove(ctx context.Context, a gcp.Action, request string) *gcp.Error {
	project := c.projectOf(a.Want.Spec)
	_, description, err := c.fetch(ctx, a.ID, project)
	if absent(err) {
		return nil
	}
	if err != nil {
		e := asError(err)
		e.Verb = a.Verb
		return e
	}
	if e := notOurs(a, description); e != nil {
		return e
	}
	m, e := c.deletion(a, project)
	if e != nil {
		return e
	}
	failed := c.run(ctx, m, request)
	if failed == nil || failed.absent() {
		return nil
	}
	return failed.fail(a.Verb, a.ID)
}

// move attaches or detaches endpoints.
func (c *Client) move(ctx context.Context, a gcp.Action, request string) *gcp.Error {
	if a.ID.Kind != gcp.KindGroup || len(a.Endpoints) == 0 {
		return invalid(a, "only endpoint groups have endpoints, and the list must not be empty")
	}
	if a.Verb == gcp.Detach || !c.justMade(a.ID) {
		_, description, err := c.fetch(ctx, a.ID, c.project)
		if err != nil {
			e := asError(err)
			e.Verb = a.Verb
			return e
		}
		if e := notOurs(a, description); e != nil {
			return e
		}
	}
	endpoints := convert.ToEndpoints(a.Endpoints, a.ID, c.project)
	var m mutation
	if a.Verb == gcp.Attach {
		body := &compute.NetworkEndpointGroupsAttachEndpointsRequest{NetworkEndpoints: endpoints}
		m = send("networkEndpointGroups.attachNetworkEndpoints", c.project, a.ID.Zone,
			c.api.NetworkEndpointGroups.AttachNetworkEndpoints(c.project, a.ID.Zone, a.ID.Name, body))
	} else {
		body := &compute.NetworkEndpointGroupsDetachEndpointsRequest{NetworkEndpoints: endpoints}
		m = send("networkEndpointGroups.detachNetworkEndpoints", c.project, a.ID.Zone,
			c.api.NetworkEndpointGroups.DetachNetworkEndpoints(c.project, a.ID.Zone, a.ID.Name, body))
	}
	if failed := c.run(ctx, m, request); failed != nil {
		return failed.fail(a.Verb, a.ID)
	}
	return nil
}

// requestFor returns the request id for one of several calls of an action.
func requestFor(request, method string) string {
	sum := sha256.Sum256([]byte(request + " " + method))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// asError returns the error as a *gcp.Error, which the caller may change.
func asError(err error) *gcp.Error {
	if e, ok := errors.AsType[*gcp.Error](err); ok {
		copied := *e
		return &copied
	}
	return readAnswer(err).fail("", gcp.ID{})
}
