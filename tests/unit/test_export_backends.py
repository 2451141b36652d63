"""Layer: unit. The whole stage against a real receiver on loopback, and backends that fail.

Each case asserts that the books balance, and what was counted. An attempt may take an hour, and so would
emitting, or the stop, if they waited for one.
"""

from __future__ import annotations

import gzip
import logging
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from otel_ebpf.export.books import POINTS, SPANS
from otel_ebpf.export.pipeline import Pipeline, build
from otel_ebpf.export.settings import ConfigurationError, ExportSettings, OtlpSettings, QueueSettings
from otel_ebpf.kernel.ledger import Ledger
from tests.export_samples import CART, SHOP, balance, closed_port, columns_of, silent_port, span
from tests.otlp_receiver import Answer, OtlpReceiver
from tests.recording_relay import RecordingRelay
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("quick_backoff")

PROTOCOLS = ("grpc", "http/protobuf")
QUEUE = QueueSettings(spans=1000, batch=100, delay=0.02)
HOUR = 3600.0


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def endpoint(protocol: str, receiver: OtlpReceiver) -> str:
    return receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint + "/v1/traces"


class Stage:
    """A pipeline that sends spans to one place."""

    def __init__(self, otlp: OtlpSettings, queue: QueueSettings = QUEUE) -> None:
        self.ledger = Ledger()
        settings = ExportSettings(traces=("otlp",), traces_otlp=otlp, queue=queue)
        self.pipeline: Pipeline = build(settings, self.ledger.shard)

    def __enter__(self) -> Stage:
        self.pipeline.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pipeline.stop()
        assert "in_flight" not in self.columns

    @property
    def columns(self) -> dict[str, int]:
        return balance(self.ledger, SPANS)

    def emit(self, number: int) -> None:
        for at in range(number):
            self.pipeline.emit(span(at, CART if at % 3 else SHOP))

    def wait(self, **columns: int) -> None:
        wait_for(lambda: columns_of(self.ledger, SPANS) == columns, lambda: columns_of(self.ledger, SPANS))


def wait_for_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until an attempt has failed that will be made again."""
    wait_for(lambda: "attempts to send spans" in caplog.text)


def test_spans_arrive_whole(protocol: str, receiver: OtlpReceiver) -> None:
    with Stage(OtlpSettings(endpoint(protocol, receiver), protocol)) as stage:
        stage.emit(250)
        stage.wait(passed=250)
    spans = receiver.spans()
    assert sorted(one.attributes["url.path"] for one in spans) == sorted(f"/users/{n}" for n in range(250))
    assert {one.resource["service.name"] for one in spans} == {"shop", "cart"}
    assert {one.scope for one in spans} == {"otel-ebpf"}
    assert all(request.transport == protocol[:4] for request in receiver.requests())


def test_gzip_and_headers(protocol: str, receiver: OtlpReceiver) -> None:
    variables = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret%20one,x=y"}
    with Stage(OtlpSettings(endpoint(protocol, receiver), protocol, HOUR, "gzip", variables)) as stage:
        stage.emit(10)
        stage.wait(passed=10)
    (request,) = receiver.requests()
    assert (request.headers["api-key"], request.headers["x"]) == ("secret one", "y")
    assert len(receiver.spans()) == 10
    if protocol != "grpc":
        assert request.headers["content-encoding"] == "gzip"
        assert request.headers["content-type"] == "application/x-protobuf"


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_messages_of_grpc_are_compressed_when_asked(receiver: OtlpReceiver, compression: str) -> None:
    """By what is on the wire: the receiver's library shows messages as they were before."""
    with RecordingRelay(urlsplit(receiver.grpc_endpoint).port or 0) as relay:
        otlp = OtlpSettings(f"http://127.0.0.1:{relay.port}", "grpc", HOUR, compression)
        with Stage(otlp) as stage:
            stage.emit(10)
            stage.wait(passed=10)
        sent = relay.messages()
    assert [one.compressed for one in sent] == [compression == "gzip"] * len(sent)
    bodies = [gzip.decompress(one.body) if one.compressed else one.body for one in sent]
    assert bodies == [request.body for request in receiver.requests()]
    assert len(receiver.spans()) == 10


def test_a_header_that_cannot_be_sent(protocol: str, receiver: OtlpReceiver) -> None:
    variables = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%0D%0Ab"}
    with Stage(OtlpSettings(endpoint(protocol, receiver), protocol, variables=variables)) as stage:
        stage.emit(10)
        stage.wait(failed=10)
    assert receiver.requests() == []


def test_partial_success(protocol: str, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.answer = Answer(rejected=4, message="names too long")
    with Stage(OtlpSettings(endpoint(protocol, receiver), protocol)) as stage:
        stage.emit(10)
        stage.wait(passed=6, rejected=4)
    assert "names too long" in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        Answer(grpc="UNAVAILABLE", http=503),
        Answer(grpc="ABORTED", http=502),
        Answer(grpc="CANCELLED", http=504),
        Answer(grpc="OUT_OF_RANGE", http=429),
        Answer(grpc="DATA_LOSS", http=503),
        Answer(grpc="DEADLINE_EXCEEDED", http=503),
    ],
)
def test_what_may_be_retried_is(protocol: str, receiver: OtlpReceiver, answer: Answer) -> None:
    receiver.answers.extend([answer, answer])
    with Stage(OtlpSettings(endpoint(protocol, receiver), protocol)) as stage:
        stage.emit(10)
        stage.wait(passed=10)
    assert [request.accepted for request in receiver.requests()] == [False, False, True]
    first, second, third = receiver.requests()
    assert first.body == second.body == third.body


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (Answer(grpc="INVALID_ARGUMENT", http=400, message="bad span"), "bad span"),
        (Answer(grpc="UNAUTHENTICATED", http=401), "OTEL_EXPORTER_OTLP_HEADERS"),
        (Answer(grpc="PERMISSION_DENIED", http=403), "OTEL_EXPORTER_OTLP_HEADERS"),
        (Answer(grpc="UNIMPLEMENTED", http=404), "endpoint"),
        (Answer(grpc="RESOURCE_EXHAUSTED", http=413), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        (Answer(grpc="INTERNAL", http=500, message="oops"), "oops"),
        (Answer(grpc="UNKNOWN", http=302, headers=(("Location", "http://elsewhere/"),)), ""),
    ],
)
def test_what_is_refused_for_good_is_counted_and_said(
    protocol: str, receiver: OtlpReceiver, answer: Answer, advice: str, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = answer
    with Stage(OtlpSettings(endpoint(protocol, receiver), protocol)) as stage:
        stage.emit(10)
        stage.wait(failed=10)
    assert len(receiver.requests()) == 1
    (line,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert advice.lower() in line.lower()


def test_the_backend_says_when_to_come_back(protocol: str, receiver: OtlpReceiver) -> None:
    receiver.answers.append(Answer(grpc="RESOURCE_EXHAUSTED", http=429, retry_delay=1.0))
    started = time.monotonic()
    with Stage(OtlpSettings(endpoint(protocol, receiver), protocol)) as stage:
        stage.emit(10)
        stage.wait(passed=10)
    assert time.monotonic() - started >= 1.0
    assert len(receiver.requests()) == 2


@pytest.mark.parametrize("body", [b"\xff\xff\xff\xff", b"<html>log in</html>", b"\x0a\x7f"])
def test_an_answer_that_is_garbage_is_a_failure(protocol: str, receiver: OtlpReceiver, body: bytes) -> None:
    receiver.answer = Answer(body=body)
    with Stage(OtlpSettings(endpoint(protocol, receiver), protocol)) as stage:
        stage.emit(10)
        stage.wait(failed=10)


def test_an_endless_answer_over_http_is_not_read_on(receiver: OtlpReceiver) -> None:
    receiver.answer = Answer(body=b"\0" * (10 << 20))
    with Stage(OtlpSettings(endpoint("http/protobuf", receiver), "http/protobuf")) as stage:
        stage.emit(10)
        stage.wait(failed=10)


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        (b"{}", {"passed": 10}),
        (b'{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "no"}}', {"passed": 7, "rejected": 3}),
        (b"[]", {"failed": 10}),
        (b"{", {"failed": 10}),
    ],
)
def test_an_answer_in_json(receiver: OtlpReceiver, body: bytes, columns: dict[str, int]) -> None:
    receiver.answer = Answer(body=body, headers=(("Content-Type", "application/json"),))
    with Stage(OtlpSettings(endpoint("http/protobuf", receiver), "http/protobuf")) as stage:
        stage.emit(10)
        stage.wait(**columns)


def test_a_backend_that_refuses_connections(protocol: str, caplog: pytest.LogCaptureFixture) -> None:
    with closed_port() as port:
        otlp = OtlpSettings(f"http://localhost:{port}", protocol)
        with Stage(otlp, replace(QUEUE, spans=300)) as stage:
            stage.emit(1000)
            wait_for_a_failure(caplog)
            assert columns_of(stage.ledger, SPANS)["in_flight"] <= 400
    assert stage.columns["queue_full"] >= 600
    assert stage.columns["shutdown"] + stage.columns["queue_full"] == 1000


def test_what_a_backend_missed_it_gets_when_it_is_back(
    protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = "" if protocol == "grpc" else "/v1/traces"
    with closed_port() as port, Stage(OtlpSettings(f"http://localhost:{port}{path}", protocol)) as stage:
        stage.emit(50)
        wait_for_a_failure(caplog)
        grpc_port, http_port = (port, 0) if protocol == "grpc" else (0, port)
        with OtlpReceiver(grpc_port=grpc_port, http_port=http_port) as receiver:
            stage.wait(passed=50)
            assert len(receiver.spans()) == 50


def test_what_is_too_old_expires(protocol: str) -> None:
    with closed_port() as port:
        otlp = OtlpSettings(f"http://localhost:{port}", protocol)
        with Stage(otlp, replace(QUEUE, age=0.3)) as stage:
            stage.emit(250)
            stage.wait(expired=250)


def test_a_backend_that_hangs_is_left_after_the_timeout(protocol: str, receiver: OtlpReceiver) -> None:
    receiver.answers.append(Answer(hang=HOUR))
    with Stage(OtlpSettings(endpoint(protocol, receiver), protocol, timeout=0.5)) as stage:
        stage.emit(10)
        stage.wait(passed=10)
    assert len(receiver.requests()) >= 2, "a busy host may need more than one other attempt"


def test_a_backend_that_never_says_a_word_does_not_hold_up_the_stop(protocol: str) -> None:
    with (
        silent_port() as silent,
        Stage(OtlpSettings(f"http://localhost:{silent.port}", protocol, HOUR)) as stage,
    ):
        stage.emit(150)
        silent.take()
    assert stage.columns == {"shutdown": 150}


def test_a_hanging_backend_is_given_up_at_the_stop(protocol: str, receiver: OtlpReceiver) -> None:
    receiver.answer = Answer(hang=HOUR)
    with Stage(OtlpSettings(endpoint(protocol, receiver), protocol, HOUR)) as stage:
        stage.emit(10)
        receiver.wait_for(receiver.requests)
    assert stage.columns == {"shutdown": 10}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def pem(certificate: trustme.LeafCert) -> tuple[bytes, bytes]:
    return certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes()


def test_tls_with_the_right_authority(
    protocol: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trustme.__file__)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    variables = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem")}
    with OtlpReceiver(tls=pem(authority.issue_cert("localhost"))) as receiver:
        with Stage(OtlpSettings(endpoint(protocol, receiver), protocol, variables=variables)) as stage:
            stage.emit(10)
            stage.wait(passed=10)
        assert len(receiver.spans()) == 10


def test_tls_with_a_client_certificate(
    protocol: str, authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = authority.issue_cert("agent.example")
    client.private_key_pem.write_to_path(tmp_path / "key.pem")
    client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    variables = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem"),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(tmp_path / "key.pem"),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(tmp_path / "client.pem"),
    }
    server = pem(authority.issue_cert("localhost"))
    with OtlpReceiver(tls=server, client_ca=authority.cert_pem.bytes()) as receiver:
        otlp = OtlpSettings(endpoint(protocol, receiver), protocol, variables=variables)
        with Stage(otlp) as stage:
            stage.emit(10)
            stage.wait(passed=10)
        without = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem")}
        with Stage(replace(otlp, variables=without)) as stage:
            stage.emit(10)
            wait_for_a_failure(caplog)
        assert stage.columns == {"shutdown": 10}


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_tls_that_does_not_match_is_retried_and_bounded(
    protocol: str, authority: trustme.CA, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An authority that is not trusted, and plain text to a port that speaks TLS."""
    with OtlpReceiver(tls=pem(authority.issue_cert("localhost"))) as receiver:
        address = endpoint(protocol, receiver).replace("https", scheme)
        with Stage(OtlpSettings(address, protocol)) as stage:
            stage.emit(500)
            wait_for_a_failure(caplog)
        assert receiver.requests() == []
    assert stage.columns == {"shutdown": 500}


def test_a_certificate_that_cannot_be_read_is_an_error_at_the_start(protocol: str, tmp_path: Path) -> None:
    variables = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "none.pem")}
    with pytest.raises(ConfigurationError, match=r"OTEL_EXPORTER_OTLP_CERTIFICATE.*none\.pem.*No such file"):
        Stage(OtlpSettings("https://localhost:1", protocol, variables=variables))


def test_metrics_have_no_part_in_the_books_of_spans(protocol: str, receiver: OtlpReceiver) -> None:
    with Stage(OtlpSettings(endpoint(protocol, receiver), protocol)) as stage:
        stage.emit(5)
        stage.wait(passed=5)
    assert balance(stage.ledger, POINTS) == {}
