// Package elasticsearch stands for the client by which Jaeger keeps traces in Elasticsearch. It is of 850
// packages, whose compiling takes longer than that of all the rest, for a store that no test asks for.
package elasticsearch

import (
	"errors"
	"net/http"

	"github.com/elastic/go-elasticsearch/v9/esapi"
)

// Config has what Jaeger sets.
type Config struct {
	Addresses            []string
	Username, Password   string
	Header               http.Header
	Transport            http.RoundTripper
	CompressRequestBody  bool
	DiscoverNodesOnStart bool
}

// Client has what Jaeger calls.
type Client struct{ Indices *esapi.Indices }

// NewClient fails.
func NewClient(Config) (*Client, error) {
	return nil, errors.New("this Jaeger is built without Elasticsearch")
}
