"""Commands of the `otel-ebpf` program, one file each."""
