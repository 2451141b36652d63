// Package servicediscovery stands for the client of AWS Cloud Map, one of the load balancing exporter's
// ways to find its backends, which no configuration here uses and which not every module proxy serves.
package servicediscovery

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
)

// Client has what the exporter calls.
type Client struct{}

// DiscoverInstancesInput has what the exporter asks.
type DiscoverInstancesInput struct {
	NamespaceName, ServiceName, OwnerAccount *string
	HealthStatus                             types.HealthStatusFilter
	MaxResults                               *int32
	OptionalParameters, QueryParameters      map[string]string
}

// DiscoverInstancesOutput has what the exporter reads.
type DiscoverInstancesOutput struct{ Instances []types.HttpInstanceSummary }

// NewFromConfig makes a client of any configuration.
func NewFromConfig(any) *Client { return &Client{} }

// DiscoverInstances fails.
func (*Client) DiscoverInstances(
	context.Context, *DiscoverInstancesInput, ...func(),
) (*DiscoverInstancesOutput, error) {
	return nil, errors.New("this Collector is built without AWS Cloud Map")
}
