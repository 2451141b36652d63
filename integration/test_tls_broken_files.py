"""Files that run and cannot be understood: a line in the log for each, and all else goes on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from integration.conftest import Traced
from integration.harness.attaching import COUNT, all_seen, threaded_tls
from integration.harness.certificates import certificates
from integration.harness.compare import check_scheme
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.ports import free_port
from integration.harness.private_library import private_library, spoil
from integration.harness.provoke import StartAgent, only
from integration.harness.rungs import RUNGS
from integration.harness.spans import CLIENT, SERVER

# Files are looked into in the same way on every rung.
RUNG = RUNGS[0]


def _one_line_of(traced: Traced, path: Path) -> None:
    """Check that the file has cost one line of the log, and that nothing else went wrong."""
    lines = traced.agent.log.splitlines()
    assert [str(path) in line and "no TLS probes" in line for line in lines].count(True) == 1, lines
    wrong = ("Traceback", "Error", "WARNING", "ERROR")
    assert not [line for line in lines if any(word in line for word in wrong)], lines


def test_a_broken_library(start_agent: StartAgent) -> None:
    """Its users serve as ever; that they cannot be read is told, and why. Others are read."""
    port, other_port = free_port(), free_port()
    with private_library() as library:
        library.spoil()
        traced = start_agent(RUNG, config=only(port, other_port))
        with threaded_tls(port, library.environment) as server, threaded_tls(other_port, {}) as other:
            mark = new_mark()
            for number in range(COUNT):
                drive(port, ["/json"], mark=f"{mark}-{number}", tls=certificates().client_context())
            assert wait_until(lambda: traced.agent.unread(server.program.pid))
            assert traced.agent.unread(server.program.pid) == "broken"
            all_seen(traced, other)
            for span in traced.backend.expect(COUNT, port=port, kind=CLIENT, mark=mark):
                check_scheme(span, "https")
            assert not traced.backend.spans(port, SERVER)
            _one_line_of(traced, library.path)


def test_a_broken_executable(start_agent: StartAgent, tmp_path: Path) -> None:
    """It is told of once, however often it is run; its library is a whole one, and read."""
    curl = shutil.copy(shutil.which("curl") or "", tmp_path)
    spoil(Path(curl))
    port, mark = free_port(), new_mark()
    trusted = ["--cacert", str(certificates().authority)]
    with threaded_tls(port, {}) as server:
        traced = start_agent(RUNG, config=only(port))
        for number in range(COUNT):
            url = f"https://127.0.0.1:{port}/json?n={mark}-{number}"
            subprocess.run(
                [curl, "-sf", *trusted, "-o", "/dev/null", url], check=True, stdin=subprocess.DEVNULL
            )
        for span in traced.backend.expect(COUNT, port=port, kind=CLIENT, mark=mark):
            check_scheme(span, "https")
            assert (span.service, span.attributes["network.peer.port"]) == ("curl", port), span
        assert len(traced.backend.expect(COUNT, port=port, kind=SERVER, mark=mark)) == COUNT
        assert wait_until(lambda: str(curl) in traced.agent.log)
        all_seen(traced, server)
        _one_line_of(traced, Path(curl))
