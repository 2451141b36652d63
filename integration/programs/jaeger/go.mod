// Jaeger, and its page as the one module has it that carries it built.
module jaeger

go 1.25.0

tool github.com/jaegertracing/jaeger/cmd/jaeger

require (
	github.com/jaegertracing/jaeger v1.76.0
	github.com/tonistiigi/jaeger-ui-rest v0.0.0-20250408171107-3dd17559e117
)

replace github.com/elastic/go-elasticsearch/v9 => ./elasticsearch
