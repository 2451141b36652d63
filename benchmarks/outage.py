"""Have the backend away for five minutes, by each protocol: no span may be lost, and none may come twice.

    python -m benchmarks.outage [--seconds SECONDS]

It is a test of integration/test_collector.py, in which an outage takes 5 seconds otherwise. A test that fails
ends this with its words and writes nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from benchmarks import options
from benchmarks.host import ROOT
from benchmarks.results import Check, Result, publish

_TEST = ("integration/test_collector.py", "-k", "outage")


def main() -> None:
    chosen = options.parse(__doc__, rounds=1, seconds=300)
    with TemporaryDirectory(prefix="outage-") as folder:
        report = Path(folder, "report.xml")
        words = [sys.executable, "-m", "pytest", *_TEST, f"--junit-xml={report}", "--quiet"]
        environment = {**os.environ, "OTEL_EBPF_TEST_OUTAGE": str(chosen.seconds)}
        if status := subprocess.run(words, cwd=ROOT, env=environment, check=False).returncode:
            sys.exit(status)
        checks = [check for case in ElementTree.parse(report).iter("testcase") for check in _checks(case)]
    publish(Result("outage", checks), chosen.folder)


def _checks(case: ElementTree.Element) -> list[Check]:
    """Return what a test that has passed says of its run."""
    told = {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
    way, asked, arrived = told["protocol"], int(told["asked"]), int(told["arrived"])
    return [
        Check(f"{way}: the backend is away", float(told["outage"]), "s"),
        Check(f"{way}: requests made", asked, "requests"),
        Check(f"{way}: of them waiting at its end", int(told["waiting"]), "spans"),
        Check(f"{way}: spans that did not arrive, or twice", abs(asked - arrived), "spans", limit=0),
    ]


if __name__ == "__main__":
    main()
