package federation

import "slices"

// Annotations by which a person tells fedsync what to do with an object.
const (
	// AnnotationReplicas on a ReplicaSet or Deployment says whose total its replicas
	// are.
	AnnotationReplicas = "fedsync.dev/replicas"
	// AnnotationAddress on an Ingress names fedsync's own address, beside that of
	// Google's controller.
	AnnotationAddress = "fedsync.dev/address"
	// AnnotationRedirect on an Ingress redirects http to https.
	AnnotationRedirect = "fedsync.dev/https-redirect"
	// AnnotationMaxRate on an Ingress bounds the requests a second for each replica.
	AnnotationMaxRate = "fedsync.dev/max-rate-per-replica"
)

// Settings are the annotations below fedsync.dev that a repository may set; all
// others there are fedsync's own.
func Settings() []string {
	return []string{AnnotationAddress, AnnotationRedirect, AnnotationMaxRate, AnnotationMove, AnnotationPrune, AnnotationReplicas}
}

// IsSetting reports whether a repository may set an annotation below fedsync.dev.
func IsSetting(annotation string) bool { return slices.Contains(Settings(), annotation) }
