// Package esapi has the one call of the API that Jaeger makes.
package esapi

import (
	"io"
	"net/http"
)

type Response struct {
	StatusCode int
	Header     http.Header
	Body       io.ReadCloser
}

type Indices struct {
	PutIndexTemplate func(name string, body io.Reader) (*Response, error)
}
