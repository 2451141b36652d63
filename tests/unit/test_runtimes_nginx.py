"""Which programs are nginx, and where in it the probe goes."""

from __future__ import annotations

import pytest
from test_binaries_support import compiled, stripped, symbols

from otel_ebpf.kernel.binaries import BinaryError, Elf
from otel_ebpf.kernel.contents import look_into
from otel_ebpf.kernel.runtimes import find

SENDS = "__attribute__((noinline)) long ngx_chain_writer(void *data, void *in) { return data == in; }\n"
PROXIES = "__attribute__((noinline)) long ngx_http_upstream_create(void *request) { return !request; }\n"
MAIN = "int main(int count, char **words) { return 0; }\n"


def test_a_program_that_was_stripped_and_has_its_functions_for_modules() -> None:
    made = compiled("nginx_whole", SENDS + PROXIES + MAIN, "-rdynamic")
    (place,) = (symbols(made)["ngx_chain_writer"],)
    with Elf(stripped(made)) as elf:
        runtime = find(elf)
        assert runtime is not None
        (point,) = runtime.points
        assert (runtime.name, runtime.kind, point.program, point.offset) == ("nginx", 2, "nginx_sends", place)
        assert point.cookie == elf.address(place)


@pytest.mark.parametrize(
    ("source", "options"), [(MAIN, ()), (SENDS + MAIN, ("-rdynamic",))], ids=["another program", "no proxy"]
)
def test_programs_in_which_there_is_nothing_to_follow(source: str, options: tuple[str, ...]) -> None:
    made = compiled(f"no_nginx{len(source)}", source, *options)
    assert look_into(str(made)).runtime is None
    assert not look_into(str(made)).not_followed


def test_a_program_that_has_none_of_its_functions_for_modules() -> None:
    made = stripped(compiled("nginx_closed", SENDS + PROXIES + MAIN))
    assert look_into(str(made)).runtime is None


def test_an_nginx_that_cannot_be_followed() -> None:
    made = compiled("nginx_without", PROXIES + MAIN, "-rdynamic")
    with Elf(made) as elf, pytest.raises(BinaryError, match="ngx_chain_writer"):
        find(elf)
    assert "ngx_chain_writer" in look_into(str(made)).not_followed
