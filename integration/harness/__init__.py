"""What the tests stand on: the agent, programs, and the spans that came out."""
