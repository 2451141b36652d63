"""A pod by the Container Runtime Interface, as the kubelet makes it, on a containerd of our own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc

from integration.harness.containers import IMAGE, started
from integration.image.daemon import Daemon
from otel_ebpf.export.protobuf import delimited, varint
from otel_ebpf.identity.wire_fields import text_of

REFERENCE = f"docker.io/library/{IMAGE}"
_CONFIG = """version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{reference}:pause"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "{folder}/cni"
bin_dir = "{folder}/cni"
"""


def _field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return delimited(varint(number << 3 | 2), value.encode() if isinstance(value, str) else value)


class Cri:
    """The interface of a running containerd."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._channel = grpc.insecure_channel(f"unix:{socket}")

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def call(self, method: str, request: bytes) -> bytes:
        """Make a call, and return the answer."""
        send = self._channel.unary_unary(f"/runtime.v1.RuntimeService/{method}", None, None)
        answer: bytes = send(request, timeout=60)
        return answer

    @contextmanager
    def pod(self, uid: str, name: str, command: Sequence[str]) -> Iterator[str]:
        """Run a pod of one container, in the host's network; yield the container's id."""
        metadata = _field(1, name) + _field(2, uid) + _field(3, "sales")
        labels = {"io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": "sales"}
        security = _field(2, _field(1, _field(1, 2)))  # the namespace of the network is the node's
        sandbox = _field(1, metadata) + _field(8, _field(1, f"/kubepods/besteffort/pod{uid}") + security)
        pod = text_of(self.call("RunPodSandbox", _field(1, sandbox)), 1)
        try:
            container = _field(1, _field(1, "web")) + _field(2, _field(1, f"{REFERENCE}:1.2"))
            container += b"".join(_field(3, word) for word in command)
            for key, value in labels.items():
                container += _field(9, _field(1, key) + _field(2, value))
            made = _field(1, pod) + _field(2, container) + _field(3, sandbox)
            identifier = text_of(self.call("CreateContainer", made), 1)
            self.call("StartContainer", _field(1, identifier))
            yield identifier
        finally:
            self.call("StopPodSandbox", _field(1, pod))
            self.call("RemovePodSandbox", _field(1, pod))


@contextmanager
def containerd_with_cri(folder: Path, docker: Daemon) -> Iterator[Cri]:
    """Run containerd with the image that `docker` has, and one that only waits."""
    (folder / "config.toml").write_text(_CONFIG.format(folder=folder, reference=REFERENCE))
    (folder / "cni").mkdir()
    waiting = docker.run("create", f"{IMAGE}:1.2", "/bin/busybox", "true").strip()
    change = 'ENTRYPOINT ["/bin/busybox", "sleep", "3600"]'
    docker.run("commit", f"--change={change}", waiting, f"{IMAGE}:pause")
    docker.run("save", f"--output={folder}/image", f"{IMAGE}:1.2", f"{IMAGE}:pause")
    socket = folder / "containerd.sock"
    words = ["containerd", f"--config={folder}/config.toml"]
    with started(*words, ready=socket, log=folder / "log"):
        given = ["ctr", f"--address={socket}", "--namespace=k8s.io", "image", "import", f"{folder}/image"]
        subprocess.run(given, check=True, capture_output=True)
        cri = Cri(socket)
        try:
            yield cri
        finally:
            cri.close()
