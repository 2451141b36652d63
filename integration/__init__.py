"""Real programs under a real agent: what leaves it is compared with what the programs did."""
