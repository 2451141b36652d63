"""curl_cffi: a libcurl on BoringSSL, both static inside one Python extension, its symbols kept."""

from __future__ import annotations

import os

import measured  # type: ignore[import-not-found]
from curl_cffi import CurlHttpVersion, requests

session = requests.Session(verify=os.environ["SSL_CERT_FILE"], http_version=CurlHttpVersion.V1_1)


def request(method: str, url: str, body: bytes | None) -> int:
    return int(session.request(method, url, data=body, timeout=10).status_code)


measured.run(request)
