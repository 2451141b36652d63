"""Encoding, queueing and sending: OTLP and the console."""
