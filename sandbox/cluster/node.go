package cluster

import (
	"fmt"
	"hash/fnv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Project is the Google Cloud project that all machines pretend to belong to.
const Project = "fedsync-sandbox"

// node returns the i-th node of a cluster as a kubelet on Compute Engine would register
// it, or as one without a cloud provider would if config.Outside is set. On Compute
// Engine the names have one prefix per cluster, as Google's have: see [Zone.Tag].
func node(config Config, i int) *corev1.Node {
	zone, cluster := config.Zone, config.Index
	name := fmt.Sprintf("%s-%d", prefix(zone), i)
	provider := fmt.Sprintf("gce://%s/%s/%s", Project, zone, name)
	labels := map[string]string{
		corev1.LabelHostname:           name,
		corev1.LabelOSStable:           "linux",
		corev1.LabelArchStable:         "amd64",
		corev1.LabelInstanceTypeStable: "e2-standard-4",
		corev1.LabelTopologyRegion:     zone.Region,
		corev1.LabelTopologyZone:       zone.String(),
	}
	if config.Outside {
		name = fmt.Sprintf("rack-%d-%d", cluster, i)
		provider = fmt.Sprintf("onprem://%s/%s", zone.Name(), name)
		labels = map[string]string{
			corev1.LabelHostname:   name,
			corev1.LabelOSStable:   "linux",
			corev1.LabelArchStable: "amd64",
		}
	}
	room := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("4"),
		corev1.ResourceMemory:           resource.MustParse("16Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:   name,
			Labels: labels,
		},
		Spec: corev1.NodeSpec{
			ProviderID: provider,
			// Pods of different clusters have different addresses, as in one
			// VPC network.
			PodCIDR:  fmt.Sprintf("10.%d.%d.0/24", 64+cluster, i),
			PodCIDRs: []string{fmt.Sprintf("10.%d.%d.0/24", 64+cluster, i)},
		},
		Status: corev1.NodeStatus{
			Capacity:    room,
			Allocatable: room,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.128.%d.%d", cluster, 10+i)},
				{Type: corev1.NodeHostName, Address: name},
			},
		},
	}
}

// Tag returns the network tag of a cluster's machines on Compute Engine, in GKE's form.
func (z Zone) Tag() string { return prefix(z) + "-node" }

// prefix returns the prefix of the names of a cluster's machines on Compute Engine.
func prefix(zone Zone) string {
	h := fnv.New32a()
	h.Write([]byte(zone.Name()))
	return fmt.Sprintf("gke-%s-%08x", zone.Name(), h.Sum32())
}

// ready reports whether pods can be placed on n: it is Ready, and the taint that
// every new node has is removed.
func ready(n *corev1.Node) bool {
	if len(n.Spec.Taints) > 0 {
		return false
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
