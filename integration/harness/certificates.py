"""One certificate authority for the session, a certificate for loopback, and who trusts it."""

from __future__ import annotations

import functools
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

from integration.harness.build import folder

_AUTHORITY_VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""OpenSSL's own default (Python, Ruby, httpx), curl, requests, Node."""


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: the authority, what it signed for `localhost` and `127.0.0.1`, and another authority."""

    authority: Path
    certificate: Path
    key: Path
    stranger: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a client trusts this authority and, but for Node, no other."""
        return dict.fromkeys(_AUTHORITY_VARIABLES, str(self.authority))

    def client_context(self) -> ssl.SSLContext:
        """Return what a client in this process verifies its server by."""
        return ssl.create_default_context(cafile=str(self.authority))


@functools.cache
def certificates() -> Certificates:
    """Make them at the first use, in a folder that is removed with the session."""
    made = folder() / "certificates"
    made.mkdir()
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    paths = Certificates(*(made / f"{name}.pem" for name in ("authority", "certificate", "key", "stranger")))
    authority.cert_pem.write_to_path(str(paths.authority))
    trustme.CA().cert_pem.write_to_path(str(paths.stranger))
    issued.private_key_pem.write_to_path(str(paths.key))
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(paths.certificate), append=number > 0)
    return paths
