"""Programs for the tests of kernel/binaries, built once a session; skipped where there is no compiler."""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

LIBRARY = """
#define OPEN __attribute__((visibility("default"), noinline))
int imported(int);
OPEN int my_target_read(int a) { return imported(a) + 1; }
OPEN int target_read(int a) { return imported(a) + 2; }
static __attribute__((noinline, used)) int inner_only(int a) { return a * 3; }
OPEN int target_write(int a) { return inner_only(a) + imported(a); }
OPEN int variable_not_function = 7;
static int chosen(int a) { return a; }
static void *choose(void) { return chosen; }
OPEN int late(int) __attribute__((ifunc("choose")));
"""
PROGRAM = """
#include <stdlib.h>
int used_here(int a) { return a + atoi("3"); }
int main(int count, char **words) { return used_here(count); }
"""
GO = """package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"reflect"
)

func main() {
	if len(os.Args) < 2 {
		for _, name := range []string{"conn", "isClient", "in", "out"} {
			field, _ := reflect.TypeOf(tls.Conn{}).FieldByName(name)
			fmt.Println(name, field.Offset)
		}
		return
	}
	connection, err := tls.Dial("tcp", os.Args[1], nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	data := make([]byte, 9)
	fmt.Println(connection.Read(data))
	fmt.Println(connection.Write(data))
	fmt.Println(connection.Close())
}
"""


@functools.cache
def folder() -> Path:
    made = Path(tempfile.mkdtemp(prefix="binaries-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def run(*command: str | Path, **environment: str) -> str:
    words = [str(word) for word in command]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(
        words, env={**os.environ, **environment}, cwd=folder(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


@functools.cache
def compiled(name: str, source: str, *options: str) -> Path:
    (folder() / f"{name}.c").write_text(source)
    run("gcc", "-O1", *options, "-o", folder() / name, folder() / f"{name}.c")
    return folder() / name


@functools.cache
def stripped(path: Path) -> Path:
    target = path.with_name(path.name + "-stripped")
    run("strip", "-o", target, path)
    return target


def library() -> Path:
    return compiled("library.so", LIBRARY, "-shared", "-fPIC", "-fno-optimize-sibling-calls")


@functools.cache
def go_program(*options: str, **environment: str) -> Path:
    module = folder() / "go"
    module.mkdir(exist_ok=True)
    (module / "go.mod").write_text("module program\n\ngo 1.18\n")
    (module / "main.go").write_text(GO)
    target = folder() / ("go" + re.sub(r"\W+", "", " ".join((*options, *environment.values()))) + ".out")
    cache = str(Path(tempfile.gettempdir()) / f"go-build-{os.getuid()}")
    offline = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOCACHE": cache, "GOTOOLCHAIN": "local"}
    run(
        "go",
        "build",
        "-C",
        module,
        *options,
        "-o",
        target,
        ".",
        **{**offline, "CGO_ENABLED": "0", **environment},
    )
    return target


def symbols(path: Path, *options: str) -> dict[str, int]:
    """Addresses of the functions, as nm tells them."""
    lines = (line.split() for line in run("nm", "--defined-only", *options, path).splitlines())
    return {
        words[2].partition("@")[0]: int(words[0], 16)
        for words in lines
        if len(words) == 3 and words[1] in "tT"
    }
