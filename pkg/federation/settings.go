package federation

import "slices"

// Annotations by which a user configures what fedsync does with an object.
const (
	// AnnotationReplicas on a ReplicaSet or Deployment states whether its replicas are
	// the total of all clusters or the count of each.
	AnnotationReplicas = "fedsync.dev/replicas"
	// AnnotationAddress on an Ingress names fedsync's own address, which differs from
	// the address of Google's controller.
	AnnotationAddress = "fedsync.dev/address"
	// AnnotationRedirect on an Ingress redirects http to https.
	AnnotationRedirect = "fedsync.dev/https-redirect"
	// AnnotationMaxRate on an Ingress limits the requests per second for each replica.
	AnnotationMaxRate = "fedsync.dev/max-rate-per-replica"
)

// Settings returns the annotations below fedsync.dev that a repository may set. All
// other annotations below fedsync.dev are fedsync's own.
func Settings() []string {
	return []string{AnnotationAddress, AnnotationRedirect, AnnotationMaxRate, AnnotationMove, AnnotationPrune, AnnotationReplicas}
}

// IsSetting reports whether a repository may set an annotation below fedsync.dev.
func IsSetting(annotation string) bool { return slices.Contains(Settings(), annotation) }
