// Package types has what the load balancing exporter names.
package types

// HealthStatusFilter says which instances are asked for.
type HealthStatusFilter string

// HealthStatusFilterHealthy is the exporter's default.
const HealthStatusFilterHealthy HealthStatusFilter = "HEALTHY"

// HttpInstanceSummary is an instance that was found.
type HttpInstanceSummary struct{ Attributes map[string]string }
