"""Spans and metrics in the terms of the semantic conventions."""
