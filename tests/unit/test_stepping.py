"""Where a probe for a function's entry takes one trap, by the bytes of real functions."""

from __future__ import annotations

import pytest

from otel_ebpf.kernel.binaries.stepping import (
    C_ARGUMENTS,
    GO_ARGUMENTS,
    cheap_exit,
    cheap_exits,
    cheap_place,
    handed_on,
    is_emulated,
    jumps_to,
)

SSL_READ_EX = bytes.fromhex("4883ec08 e8c7fdffff 31d2 85c0 0f48c2 4883c408 c3")
"""sub rsp,8; call -560; ...: Debian 12's OpenSSL 3.0."""
SSL_FREE = bytes.fromhex("4885ff 0f8497030000 4155 b8ffffffff")
"""test rdi,rdi; je; push r13."""


def place(code: str, *, stack: bool = False, whole: bool = True, go: bool = False) -> int:
    return cheap_place(bytes.fromhex(code), GO_ARGUMENTS if go else C_ARGUMENTS, stack=stack, whole=whole)


@pytest.mark.parametrize(
    "code", ["55", "53", "4157", "7405", "0f8497030000", "e800000000", "e900000000", "eb00", "90"]
)
def test_what_the_kernel_emulates(code: str) -> None:
    assert is_emulated(bytes.fromhex(code))


@pytest.mark.parametrize(
    "code", ["", "4883ec18", "c3", "f3c3", "f30f1efa", "6655", "4257", "0f84", "ff20", "6a22"]
)
def test_what_it_steps(code: str) -> None:
    """Nothing, sub, ret, endbr64, push of 16 bits or with an idle prefix, half a jump, jmp [rax], push 34."""
    assert not is_emulated(bytes.fromhex(code))


def test_the_entry_itself() -> None:
    assert place("55 4889e5 c3") == 0


def test_behind_what_leaves_arguments_alone() -> None:
    assert place("f30f1efa 55 c3", stack=True) == 4  # endbr64; push rbp
    assert place("4885ff 7401 53 c3", stack=True) == 3  # test rdi,rdi; je
    assert place("4989fc 55 c3", stack=True) == 3  # mov r12,rdi; push rbp
    assert (
        place("488b8788040000 31c0 4889442408 53 c3") == 14
    )  # mov rax,[rdi+..]; xor eax,eax; mov [rsp+8],rax
    assert place("493b6610 7601 c3", go=True) == 4  # cmp rsp,[r14+16]; jbe


@pytest.mark.parametrize(
    "code",
    [
        "31d2 55 c3",  # xor edx,edx
        "4889f7 55 c3",  # mov rdi,rsi
        "4088f7 55 c3",  # mov dil,sil
        "4531c0 55 c3",  # xor r8d,r8d
        "ff10 55 c3",  # call [rax]
        "4891 55 c3",  # xchg rcx,rax
        "4883c408 55 c3",  # add rsp,8
        "0fa2 55 c3",  # cpuid
        "c3 55",
    ],
)
def test_what_changes_anything_else_is_not_passed(code: str) -> None:
    assert place(code) == 0


def test_the_stack_is_as_it_was_where_that_counts() -> None:
    assert place("4883ec18 55 c3") == 4
    assert place("4883ec18 55 c3", stack=True) == 0


def test_go_s_arguments_are_others() -> None:
    assert place("31c0 55 c3") == 2  # xor eax,eax
    assert place("31c0 55 c3", go=True) == 0


def test_a_place_that_a_loop_comes_back_to() -> None:
    assert place("4885ff 7404 ffc0 ebf7 c3") == 3  # back to the entry: as often as that
    assert place("4885ff 7402 ebfc c3") == 0  # back to the branch alone
    assert place("4885ff 7402 c3", whole=False) == 0  # it is not known
    assert place("4885ff 7402 c3 06") == 0  # nor here, behind which is no instruction
    assert place("4989fc 55 c3", whole=False) == 3  # no loop pushes


def test_not_too_far() -> None:
    assert place("4885ff" * 11 + "55") == 33
    assert place("4885ff" * 12 + "55") == 0


@pytest.mark.parametrize(
    ("code", "at"),
    [
        ("e8fb000000 83fa01 7504 48ffc1 90 5b c3", 8),  # a call; cmp edx,1; jne; inc rcx; nop; pop rbx; ret
        ("83fa01 7504 83f902 7400 5b c3", 3),  # the second is passed by those alone that pass the first
        ("7406 83fa01 7502 5b 5b c3", 0),
    ],
)
def test_a_branch_on_the_way_out(code: str, at: int) -> None:
    assert cheap_exit(bytes.fromhex(code)) == at


@pytest.mark.parametrize(
    "code",
    [
        "83fa01 7502 31c0 5b c3",  # xor eax,eax behind it
        "83fa01 7502 b001 5b c3",  # mov al,1
        "83fa01 7500 f7e1 c3",  # mul ecx writes it too
        "83fa01 7505 e8fb000000 c3",  # a call does
        "740a e8fb000000 83fa01 7500 5b c3",  # another way in
        "83fa01 75f9 5b c3",  # it is passed more than once
        "83fa01 7510 5b c3",  # another way out
        "83fa01 7501 c3 5b c3",  # two returns
        "ffe0 83fa01 7500 5b c3",  # jmp rax: by a table
        "83fa01 7500 5b c3 06",  # and what is no instruction
        "83fa01 5b c3",
        "5b",
        "",
    ],
)
def test_no_branch_that_each_call_passes_once(code: str) -> None:
    assert cheap_exit(bytes.fromhex(code)) is None


@pytest.mark.parametrize(
    ("code", "places"),
    [
        ("83fa01 7502 5b c3 ffc1 ebfa", [3, 9]),  # past the branch, and back from what it leads to
        ("83fa01 7404 ffc1 eb00 5b c3", [3, 7]),  # one jump over another
        ("83fa01 7402 ffc1 5b c3", []),  # inc ecx falls through
        ("83fa01 7502 5b c3 5b c3", []),  # two returns
        ("83fa01 7502 5b c3 ffc1 ebfa 06", []),
        ("83fa01 7502 5b c3 ffe0", []),
        ("5b c3", []),
        ("", []),
    ],
)
def test_branches_of_which_each_call_passes_one(code: str, places: list[int]) -> None:
    assert cheap_exits(bytes.fromhex(code)) == places


def test_what_is_handed_on() -> None:
    assert handed_on(SSL_READ_EX) == -560
    assert handed_on(bytes.fromhex("e9fb000000")) == 256
    assert handed_on(SSL_FREE) is None
    assert handed_on(bytes.fromhex("31c9 e9fb000000")) is None  # another argument
    assert handed_on(bytes.fromhex("ff20")) is None
    assert handed_on(b"") is None


def test_jumps_and_calls() -> None:
    assert jumps_to(SSL_READ_EX) == {-560}
    assert jumps_to(SSL_FREE) == {0x3A0}
