package daemon

import (
	"context"
	"errors"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/health"
	"github.com/fedsync/fedsync/pkg/member"
)

// identity is which cluster a session is connected to.
type identity struct {
	known bool   // it was read since the cluster last came back
	uid   string // empty where it may not be read
}

// errReplaced ends a session.
var errReplaced = errors.New("another cluster answers: its kube-system namespace has another uid; it is looked at from scratch")

// identify finds out which cluster answers, at the start and after each absence.
// Nothing is known to be of now, and nothing is written, before that.
func (s *session) identify(ctx context.Context) error {
	if s.identity.known {
		return nil
	}
	uid, err := member.ClusterUID(ctx, s.client.Dynamic)
	switch {
	case apierrors.IsForbidden(err) || apierrors.IsNotFound(err):
		s.mu.Lock()
		s.unidentified = health.Redact(err.Error())
		s.mu.Unlock()
	case err != nil:
		return err
	default:
		s.mu.Lock()
		s.unidentified = ""
		s.mu.Unlock()
	}
	if before := s.identity.uid; before != "" && uid != "" && before != uid {
		s.log.Warn("cluster replaced", zap.String("uid", uid), zap.String("uid before", before))
		s.replaced.ring()
		return errReplaced
	}
	s.identity = identity{known: true, uid: uid}
	s.update(func(o *outcome) { o.facts.UID = uid })
	return nil
}

// anonymous is the finding on a cluster that may not be asked which one it is.
func (s *session) anonymous() []federation.Finding {
	s.mu.Lock()
	reason := s.unidentified
	s.mu.Unlock()
	if reason == "" {
		return nil
	}
	return []federation.Finding{{
		ID: "D07", Severity: federation.SeverityWarning, Cluster: s.cluster.Name,
		Object:  federation.ObjectRef{Kind: "Namespace", Name: metav1.NamespaceSystem},
		Message: "the cluster cannot be told from another: " + reason,
		Remedy:  "allow the verb get on the Namespace kube-system (README, Rights); until then no cluster that left fedsync.yaml is emptied",
	}}
}
