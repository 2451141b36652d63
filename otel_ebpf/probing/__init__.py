"""Programs in use on this host: which of them get probes, and where."""
