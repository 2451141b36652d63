"""A real Helm (programs/helm)."""

from __future__ import annotations

from pathlib import Path

from integration.harness.build import go_module
from integration.harness.installed import run

__all__ = ["helm"]


def helm(*words: str | Path) -> str:
    """Run one of its commands, which ask no cluster, and return its output."""
    return run(go_module("helm", "helm.sh/helm/v3/cmd/helm"), *words)
