"""A TLS library's own command line client, which sends its input and prints what it receives.

    piped_client.py KIND URL MARK COUNT METHOD

KIND is `gnutls` or `openssl`; `openssl_key_update` and `openssl_renegotiation` exchange new keys
between any two requests, in TLS 1.3 and in TLS 1.2.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.parse

import measured  # type: ignore[import-not-found]

OPENSSL = ["openssl", "s_client", "-brief", "-verify_return_error", "-verify_ip", "127.0.0.1", "-connect"]
GNUTLS = ["gnutls-cli", "--logfile", "/dev/null", "--verify-hostname", "127.0.0.1", "--x509cafile"]
# A letter at the beginning of what it reads is a command; the word is what it then says.
COMMANDS = {"openssl_key_update": (b"K\n", b"KEYUPDATE"), "openssl_renegotiation": (b"R\n", b"RENEGOTIATING")}
HEAD = re.compile(rb"(?si)HTTP/1\.1 (\d+).*?\r\nContent-Length: (\d+).*?\r\n\r\n")


class Pipes:
    """The client program and what it has printed that was not looked at yet."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self._process.stdin
        assert self._process.stdout
        self._into, self._out = self._process.stdin, self._process.stdout
        self._printed = bytearray()

    def say(self, text: bytes) -> None:
        self._into.write(text)
        self._into.flush()

    def until(self, wanted: re.Pattern[bytes]) -> re.Match[bytes]:
        """Read until this was printed; forget all up to its end."""
        while not (found := wanted.search(self._printed)):
            self._read()
        self._printed = self._printed[found.end() :]
        return found

    def skip(self, count: int) -> None:
        """Read so many bytes and forget them."""
        while len(self._printed) < count:
            self._read()
        self._printed = self._printed[count:]

    def _read(self) -> None:
        piece = os.read(self._out.fileno(), 1 << 20)
        assert piece, f"it left after {bytes(self._printed[-2000:])!r}"
        self._printed += piece

    def end(self) -> None:
        self._into.close()
        self._out.close()
        self._process.wait()


def command_of(kind: str, url: str) -> list[str]:
    where, authority = urllib.parse.urlsplit(url), os.environ["SSL_CERT_FILE"]
    if kind == "gnutls":
        return [*GNUTLS, authority, "--port", str(where.port), str(where.hostname)]
    version = ["-tls1_2"] if kind == "openssl_renegotiation" else []
    return [*OPENSSL, where.netloc, "-CAfile", authority, *version]


def main() -> None:
    kind = sys.argv.pop(1)
    pipes, asked = Pipes(command_of(kind, sys.argv[1])), 0

    def request(method: str, url: str, body: bytes | None) -> int:
        nonlocal asked
        if asked and kind in COMMANDS:
            letter, answer = COMMANDS[kind]
            pipes.say(letter)
            pipes.until(re.compile(answer))
        asked += 1
        parts, content = urllib.parse.urlsplit(url), body or b""
        head = f"{method} {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        pipes.say(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        found = pipes.until(HEAD)
        pipes.skip(int(found[2]))
        return int(found[1])

    measured.run(request)
    pipes.end()


main()
