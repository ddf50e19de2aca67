package daemon

import (
	"fmt"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/member"
)

// NewApplier gives an Applier of one cluster to those who ask it for something
// besides the loop, as for what adoption overwrote. It has no source and no
// instance, so it is not for Apply. It asks the cluster nothing yet.
func NewApplier(cfg *config.Config, federation, context string, o Options) (*apply.Applier, error) {
	kube, err := config.NewKubeconfig(cfg, o.Log)
	if err != nil {
		return nil, err
	}
	conn, err := kube.Connection(context)
	if err != nil {
		return nil, err
	}
	client, err := member.NewClient(conn.REST, member.ClientOptions{Version: o.Version, Timeout: cfg.RequestTimeout, Log: o.Log})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", context, err)
	}
	return apply.New(apply.Options{
		Cluster:        context,
		Federation:     federation,
		Version:        o.Version,
		Client:         client.Dynamic,
		Mapper:         client.Kinds,
		Concurrency:    cfg.Concurrency,
		RequestTimeout: cfg.RequestTimeout,
		Log:            o.Log,
	}), nil
}
