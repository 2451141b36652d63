"""What the agent costs: overhead, BPF time, user-space CPU, memory, start. `make bench`, `make soak`."""
