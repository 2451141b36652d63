"""A real kube-apiserver with etcd, and objects in it as controllers and the kubelet would make them."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import yaml

from integration.harness.build import _run, go_module
from integration.harness.certificates import Certificates
from integration.harness.limits import DIES_WITH_US, wait_until
from integration.harness.ports import free_port, is_listening

MANIFEST = Path(__file__).parent.parent.parent / "configs" / "kubernetes" / "otel-ebpf.yaml"
_ADMIN = "admin-of-the-tests"


class Cluster:
    """The API of a running server, as an administrator."""

    def __init__(
        self,
        url: str,
        authority: Path,
        serving: Callable[[], AbstractContextManager[None]],
        server: ExitStack,
    ) -> None:
        """`serving` runs the server, which is in `server` while it runs."""
        self.url = url
        self._context = ssl.create_default_context(cafile=str(authority))
        self._serving = serving
        self._server = server

    def start(self) -> None:
        """Run the server, and wait until it answers."""
        self._server.enter_context(self._serving())
        assert wait_until(lambda: _ready(self), 60), "the API server does not answer"

    @contextmanager
    def away(self) -> Iterator[None]:
        """Have no server during the block; then there is another, of the same objects."""
        self._server.close()
        yield
        self.start()

    def call(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        """Make a request and return the answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {_ADMIN}", "Content-Type": kind}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
            return json.load(answer)

    def status(self, token: str, method: str, path: str) -> int:
        """Make a request as somebody else, by that token; return the HTTP status."""
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(self.url + path, None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return int(refused.code)

    def create(self, thing: Mapping[str, Any], query: str = "") -> Any:
        """Create an object and return it."""
        group, kind = thing["apiVersion"], thing["kind"]
        plural = f"{kind.lower()}s"
        namespace = thing["metadata"].get("namespace")
        prefix = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        within = f"/namespaces/{namespace}" if namespace else ""
        return self.call("POST", f"{prefix}{within}/{plural}{query}", thing)

    def check(self, thing: Mapping[str, Any]) -> None:
        """Have all of an object looked at as if it were to be created; fail with what the server says."""
        try:
            self.create(thing, "?dryRun=All&fieldValidation=Strict")
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{thing['kind']}: {refused.read().decode()}") from refused

    def apply(self, path: Path) -> None:
        """Create all objects of a manifest."""
        for thing in yaml.safe_load_all(path.read_text()):
            self.create(thing)

    def token(self, namespace: str, account: str) -> str:
        """Return a token of a service account, as the kubelet asks for one."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return str(self.call("POST", path, asked)["status"]["token"])

    def owned(self, kind: str, group: str, name: str, spec: object, owner: Any = None) -> Any:
        """Create a workload in the namespace `sales`, by a controller's hand where it has an owner."""
        return self.create(
            {
                "apiVersion": group,
                "kind": kind,
                "metadata": {"name": name, "namespace": "sales", "ownerReferences": owner_references(owner)},
                "spec": spec,
            }
        )

    def pod(self, name: str, owner: Any, containers: list[str], **metadata: Any) -> Any:
        """Create a pod on `node-1`, as scheduled."""
        image = "registry:5000/shop/till:1.2"
        return self.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "namespace": "sales",
                    "ownerReferences": owner_references(owner),
                    **metadata,
                },
                "spec": {
                    "nodeName": "node-1",
                    "containers": [{"name": one, "image": image} for one in containers],
                },
            }
        )

    def service(self, name: str, port: int, address: str = "None", **labels: str) -> Any:
        """Create a service in the namespace `sales`; without an address it is headless."""
        spec = {"clusterIP": address, "ports": [{"port": port}]}
        metadata = {"name": name, "namespace": "sales", "labels": labels}
        return self.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})

    def endpoints(self, service: str, port: int, *addresses: str) -> None:
        """Say where a service's pods are, as its controller does."""
        path = "/apis/discovery.k8s.io/v1/namespaces/sales/endpointslices"
        labels = {"kubernetes.io/service-name": service}
        thing = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{service}-1", "namespace": "sales", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [one]} for one in addresses],
            "ports": [{"name": "", "port": port}],
        }
        apply = f"{path}/{service}-1?fieldManager=tests&force=true"
        self.call("PATCH", apply, thing, "application/apply-patch+yaml")

    def running(self, pod: Any, ids: Mapping[str, str]) -> None:
        """Tell the ids of a pod's containers, as the kubelet does some time after their start."""
        statuses = [
            {
                "name": name,
                "containerID": f"containerd://{identifier}",
                "image": "sha256:1",
                "imageID": "",
                "ready": True,
                "restartCount": 0,
                "state": {"running": {}},
            }
            for name, identifier in ids.items()
        ]
        path = f"/api/v1/namespaces/sales/pods/{pod['metadata']['name']}/status"
        patch = {"status": {"phase": "Running", "containerStatuses": statuses}}
        self.call("PATCH", path, patch, "application/strategic-merge-patch+json")


def owner_references(owner: Any) -> list[dict[str, Any]]:
    """Return how an object says who manages it."""
    if owner is None:
        return []
    metadata = owner["metadata"]
    about = {key: owner[key] for key in ("apiVersion", "kind")}
    return [{**about, "name": metadata["name"], "uid": metadata["uid"], "controller": True}]


@contextmanager
def api_server(folder: Path, certificates: Certificates) -> Iterator[Cluster]:
    """Run etcd and kube-apiserver on loopback, with their data below `folder`."""
    program = go_module("kubernetes")
    keys, port, etcd, peer = folder / "key.pem", free_port(), free_port(), free_port()
    _run("openssl", "genrsa", "-out", keys, "2048", directory=folder)
    (folder / "tokens").write_text(f'{_ADMIN},admin,admin,"system:masters"\n')
    store = [f"--{kind}-client-urls=http://127.0.0.1:{etcd}" for kind in ("listen", "advertise")]
    store += [f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--data-dir={folder}/etcd"]
    asked = {
        "etcd-servers": f"http://127.0.0.1:{etcd}",
        "secure-port": str(port),
        "bind-address": "127.0.0.1",
        "tls-cert-file": str(certificates.certificate),
        "tls-private-key-file": str(certificates.key),
        "authorization-mode": "RBAC",
        "token-auth-file": f"{folder}/tokens",
        "service-account-issuer": "https://tests",
        "service-account-key-file": str(keys),
        "service-account-signing-key-file": str(keys),
        "service-cluster-ip-range": "10.96.0.0/24",
        "disable-admission-plugins": "ServiceAccount",
        "cert-dir": f"{folder}/certificates",
        "feature-gates": "WatchList=false",  # it wants a newer etcd than Debian 12 has
    }
    words = [str(program), *(f"--{key}={value}" for key, value in asked.items())]
    with _serving(["etcd", *store], etcd, folder / "etcd.log"), ExitStack() as server:
        serving = partial(_serving, words, port, folder / "api.log")
        cluster = Cluster(f"https://127.0.0.1:{port}", certificates.authority, serving, server)
        cluster.start()
        yield cluster


@contextmanager
def _serving(words: Sequence[str], port: int, log: Path) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen([*DIES_WITH_US, *words], stdout=output, stderr=output)
        try:
            assert wait_until(lambda: is_listening(port), 120), log.read_text(errors="replace")[-3000:]
            yield
        finally:
            process.kill()
            process.wait()


def _ready(cluster: Cluster) -> bool:
    try:
        cluster.call("GET", "/api/v1/namespaces/default")
    except OSError:
        return False
    return True


class SlowServer:
    """Takes one connection after the other, and goes on with the head of its answer for as long as it runs.

    So nobody's time limit for the next byte is over, and who waits for the answer waits on.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.asked: list[bytes] = []
        self.ending = Event()
        self._listener = listener

    def run(self) -> None:
        """Answer until the listener is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    self.asked.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    while not self.ending.wait(0.2):
                        connection.sendall(b"x")


@contextmanager
def slow_api_server() -> Iterator[SlowServer]:
    """Run an API server that accepts, and whose answer does not come to its end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SlowServer(listener)
        thread = Thread(target=server.run, daemon=True)
        thread.start()
        yield server
        server.ending.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
