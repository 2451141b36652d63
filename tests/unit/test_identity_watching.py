"""What sources have told is kept to a bound."""

from __future__ import annotations

import pytest

from otel_ebpf.identity.docker import image_and_tags
from otel_ebpf.identity.watching import Cache


def test_what_has_gone_is_kept_for_a_while_and_to_a_bound() -> None:
    cache: Cache[int] = Cache(capacity=2, gone=2)
    assert cache.put("a", 1)
    assert cache.put("b", 2)
    assert not cache.put("c", 3)
    assert cache.put("a", 4)
    for key in ("a", "b", "unknown"):
        cache.remove(key)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (4, 2, None)
    assert cache.put("c", 3)
    cache.keep_only(set())
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (None, 2, 3)
    assert len(cache) == 2


@pytest.mark.parametrize(
    ("reference", "name", "tags"),
    [
        ("till", "till", ()),
        ("till:1.2", "till", ("1.2",)),
        ("registry:5000/shop/till", "registry:5000/shop/till", ()),
        ("registry:5000/shop/till:1.2@sha256:ab", "registry:5000/shop/till", ("1.2",)),
        ("sha256:ab", "", ()),
        ("", "", ()),
    ],
)
def test_references_of_images(reference: str, name: str, tags: tuple[str, ...]) -> None:
    assert image_and_tags(reference) == (name, tags)
