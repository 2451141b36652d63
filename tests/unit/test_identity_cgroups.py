"""Containers and pods by the paths of control groups, as runtimes make them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ebpf.identity.cgroups import NOWHERE, Place, choose, place_of

ID = "0123456789abcdef" * 4
UID = "8f2c1d6e-0a4b-4c7d-9e1f-112233445566"
SLICE = f"pod{UID.replace('-', '_')}.slice"
PATHS = {
    f"/docker/{ID}": Place(ID, "docker"),
    f"/docker/{ID}/init.scope": Place(ID, "docker"),
    f"/system.slice/docker-{ID}.scope": Place(ID, "docker"),
    f"/docker/{'f' * 64}/docker/{ID}": Place(ID, "docker"),  # in Docker in Docker, the inner one
    f"/machine.slice/libpod-{ID}.scope": Place(ID, "podman"),
    f"/machine.slice/libpod-{ID}.scope/container": Place(ID, "podman"),
    f"/libpod_parent/libpod-{ID}": Place(ID, "podman"),
    f"/user.slice/user@1000.service/user.slice/libpod-{ID}.scope/container": Place(ID, "podman"),
    f"/machine.slice/libpod-conmon-{ID}.scope": NOWHERE,
    f"/kubepods/besteffort/pod{UID}/{ID}": Place(ID, "", UID),
    f"/kubepods.slice/kubepods-{SLICE}/cri-containerd-{ID}.scope": Place(ID, "containerd", UID),
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-{SLICE}/crio-{ID}.scope": Place(
        ID, "cri-o", UID
    ),
    f"/kubepods/burstable/pod{UID}/crio-{ID}/container": Place(ID, "cri-o", UID),
    f"/kubepods/pod{'a' * 32}/{ID}": Place(ID, "", "a" * 32),
    f"/system.slice/containerd.service/kubepods-burstable-{SLICE}:cri-containerd:{ID}": Place(
        ID, "containerd", UID
    ),
    f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-{SLICE}/cri-containerd-{ID}.scope": Place(
        ID, "containerd", UID
    ),
    f"/../{ID}": Place(ID),
    f"/../../pod{UID}/{ID}": Place(ID, "", UID),
    f"/ecs/task/{'e' * 32}-1234567890": Place(f"{'e' * 32}-1234567890"),
    "/machine.slice/systemd-nspawn@shop.service/payload": Place("shop", "systemd-nspawn"),
    r"/machine.slice/machine-web\x2done.scope": Place("web-one", "systemd-nspawn"),
    r"/machine.slice/machine-qemu\x2d1\x2dguest.scope": NOWHERE,
    "/lxc.payload.web/system.slice/nginx.service": Place("web", "lxc"),
    "/system.slice/nginx.service": NOWHERE,
    "/user.slice/user-0.slice/session-2.scope": NOWHERE,
    "/system.slice/docker.service": NOWHERE,
    f"/build/{'a' * 40}": NOWHERE,  # a commit is no container
    "/": NOWHERE,
    "": NOWHERE,
}


@pytest.mark.parametrize(("path", "place"), PATHS.items())
def test_paths_of_runtimes(path: str, place: Place) -> None:
    assert place_of(path) == place


def test_of_several_hierarchies_the_one_that_the_runtime_uses() -> None:
    assert choose(["/system.slice/containerd.service", f"/docker/{ID}"]) == f"/docker/{ID}"
    assert choose(["/system.slice/nginx.service", "/"]) == "/system.slice/nginx.service"
    assert choose([]) == ""


def test_from_inside_of_a_pod_the_kernel_tells_which() -> None:
    told = f"/kubepods-burstable.slice/kubepods-burstable-{SLICE}/cri-containerd-{ID}.scope"
    assert choose([f"/../cri-containerd-{ID}.scope", told]) == told
    assert choose(["/", told]) == told


@given(st.text(max_size=300))
def test_any_text_is_a_path(path: str) -> None:
    place_of(path)
