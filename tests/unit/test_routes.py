"""Signals, routes: users' rules, learned templates, and bounds on hostile paths."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ebpf.route_patterns import compile_pattern
from otel_ebpf.signals.route_rules import Rule
from otel_ebpf.signals.route_segments import placeholder
from otel_ebpf.signals.route_tree import DEEPEST, LONGEST_PATH, MOST_FANOUT, RouteTree, _Node
from otel_ebpf.signals.routes import CACHED_PATHS, OVERFLOW, SAYS_NOTHING, Routes

UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/", "/", True),
        ("/users/{id}", "/users/42", True),
        ("/users/{id}", "/users/", False),
        ("/users/{id}", "/users/42/", False),
        ("/users/{id}", "/users/42/orders", False),
        ("/users/{id}/orders/{order_id}", "/users/42/orders/7", True),
        ("/files/{name}.json", "/files/a.json", True),
        ("/files/{name}.json", "/files/axjson", False),
        ("/files/{name}.json", "/files/a.json.json", True),
        ("/files/{name}.json/x", "/files/a.json.json/x", True),
        ("/files/{name}.json/x", "/files/a.jsony/x", False),
        ("/compare/{base}...{head}", "/compare/v1...v2", True),
        ("/compare/{base}...{head}", "/compare/v1..v2", False),
        ("/v-{rest...}", "/v-1/2/3", True),
        ("/static/{path...}", "/static/a/b.css", True),
        ("/static/{path...}", "/static/", True),
        ("/static/{path...}", "/static", False),
        ("/static/**", "/static/a/b.css", True),
        ("/a.b", "/axb", False),
        ("/a*", "/a*", True),
        ("/a/{x}", "/a/line\nbreak", True),
        ("/**", "/any\nthing", True),
    ],
)
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert (compile_pattern(pattern).fullmatch(path) is not None) is fits


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("users", "start with '/'"),
        ("", "start with '/'"),
        ("/{rest...}/more", "must be last"),
        ("/**/more", "must be last"),
        ("/a**b", "not understood"),
        ("/{rest...}more", "must be last"),
        ("/{a}-{b}-{c}", "more than 2 placeholders"),
        ("/{id", "not understood"),
        ("/id}", "not understood"),
        ("/{}", "not understood"),
        ("/{a b}", "not understood"),
    ],
)
def test_bad_patterns_are_refused(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Routes([Rule(None, [pattern])])


def test_rules_go_before_what_is_learned_and_by_their_order() -> None:
    routes = Routes(
        [
            Rule("shop*", ["/users/me", "/users/{name}"]),
            Rule("other", ["/only/other"]),
            Rule(None, ["/users/{anything}", "/x/**"]),
        ]
    )
    shop, other = routes.of("shop-eu"), routes.of("other")
    assert shop.find("/users/me", 200) == "/users/me"
    assert shop.find("/users/42", 200) == "/users/{name}"
    assert shop.find("/x/1/2", 200) == "/x/**"
    assert shop.find("/y/1/2", 200) == "/y/{id}/{id}"
    assert other.find("/users/42", 200) == "/users/{anything}"
    assert routes.of("third").find("/only/other", 404) == ""


def test_a_hostile_path_does_not_make_a_rule_try_all_combinations() -> None:
    pattern = "/".join(["", *["{a}-{b}x"] * 8])
    path = "/".join(["", *["-x" * 100] * 7, "-" * 200])
    # All of them are 5000 ** 7: that would not end.
    assert Routes([Rule(None, [pattern])], learn=False).of("shop").find(path, 200) == ""


def test_rules_hold_for_every_status_and_when_learning_is_off() -> None:
    routes = Routes([Rule(None, ["/users/{id}"])], learn=False).of("shop")
    assert routes.find("/users/nobody", 404) == "/users/{id}"
    assert routes.find("/orders/1", 200) == ""


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ("42", "{id}"),
        ("-3", "{id}"),
        ("1.5", "{id}"),
        ("10:30", "{id}"),
        ("52.52,13.40", "{id}"),
        ("192.168.0.1", "{id}"),
        ("20240531", "{id}"),
        (UUID, "{uuid}"),
        (UUID.upper(), "{uuid}"),
        (f"{{{UUID}}}", "{uuid}"),
        ("2024-05-31", "{date}"),
        ("2024-05-31T10:30:00Z", "{date}"),
        ("2024-05-31T10:30:00+02:00", "{date}"),
        ("d41d8cd98f00b204e9800998ecf8427e", "{hash}"),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", "{hash}"),
        ("a1b2c3d4", "{hash}"),
        ("0xdeadbeef00", "{hash}"),
        ("ada@example.com", "{email}"),
        ("ada%40example.com", "{email}"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "{token}"),
        ("V1StGXR8_Z5jdHi6B-myT", "{token}"),
        ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "{token}"),
        ("dGhpcyBpcyBhIHRlc3Q1Mg==", "{token}"),
        ("sess_9f8g7h6j5k4l", "{token}"),
        ("x" * 65, "{token}"),
        ("with space", "{token}"),
        ("{id}", "{token}"),
        ("\x00", "{token}"),
        ("café", "{token}"),
        ("42;jsessionid=1", "{id}"),
        ("", ""),
        ("v1", ""),
        ("v2.1", ""),
        ("users", ""),
        ("facade", ""),
        ("deadbeef", ""),
        ("index.html", ""),
        ("how-to-build-2-apis-in-2024", ""),
        ("caf%C3%A9", ""),
        ("oauth2", ""),
        (".well-known", ""),
        ("user_profile_settings", ""),
        ("getUserProfileSettings", ""),
        ("@me", ""),
        ("..", ""),
    ],
)
def test_segments(segment: str, expected: str) -> None:
    assert placeholder(segment) == expected


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/users", "/users"),
        ("/users/", "/users/"),
        ("//a", "//a"),
        (f"/api/v1/orders/{UUID}/lines/3", "/api/v1/orders/{uuid}/lines/{id}"),
        ("/reports/2024-05-31/daily", "/reports/{date}/daily"),
    ],
)
def test_learned(path: str, route: str) -> None:
    assert Routes().of("shop").find(path, 200) == route


def test_names_under_one_prefix_become_a_parameter() -> None:
    routes = Routes().of("shop")
    for number in range(MOST_FANOUT):
        name = f"name{string.ascii_lowercase[number % 26]}{string.ascii_lowercase[number // 26]}"
        assert routes.find(f"/users/{name}/orders", 200) == f"/users/{name}/orders"
    assert routes.find("/users/me/orders", 200) == "/users/{param}/orders"
    assert routes.find("/users/namea-a/orders", 200) == "/users/{param}/orders"
    # What had its own route before has the common one now, also where it was cached.
    assert "/users/nameaa/orders" not in routes.cache
    assert routes.find("/users/nameaa/orders", 200) == "/users/{param}/orders"
    assert routes.find("/users/5/orders", 200) == "/users/{id}/orders"
    assert routes.find("/items", 200) == "/items"


def words(count: int) -> list[str]:
    letters = string.ascii_lowercase
    return [f"w{letters[n // 676]}{letters[n // 26 % 26]}{letters[n % 26]}" for n in range(count)]


def test_merged_branches_that_are_too_wide_together_are_merged_again() -> None:
    tree = RouteTree(200)
    for number, name in enumerate(words(MOST_FANOUT + 1)):
        tree.learn(f"/{name}/{words(200)[100 + number]}")
    assert tree.learn("/anything/else") == "/{param}/{param}"


def test_denied_paths_make_no_routes() -> None:
    for status in sorted(SAYS_NOTHING):
        routes = Routes().of("shop")
        assert routes.find("/admin.php", status) == ""
        assert routes.find("/users/1", 200) == "/users/{id}"
        assert routes.find("/users/999", status) == "/users/{id}", "known: another status makes it no less so"
        assert routes.find("/users", status) == ""
        assert routes.find("/users/1/x", status) == ""


@pytest.mark.parametrize("path", ["", "*", "shop.example:443", "http://x/"])
def test_what_is_no_path_has_no_route(path: str) -> None:
    assert Routes().of("shop").find(path, 200) == ""


def test_too_long_and_too_deep_paths_are_the_overflow_and_cost_nothing() -> None:
    routes = Routes().of("shop")
    assert routes.find("/a" * (DEEPEST + 1), 200) == OVERFLOW
    assert routes.find("/a" * DEEPEST, 200) == "/a" * DEEPEST
    assert routes.find("/" + "a/" * 5 + "b" * LONGEST_PATH, 200) == OVERFLOW


def nodes(node: _Node) -> int:
    return 1 + sum(map(nodes, (*node.words.values(), *node.values.values())))


def hostile_path(generator: random.Random) -> str:
    alphabet = string.ascii_letters + string.digits + "-_.%/{}; \x00é"
    length = generator.choice((3, 10, 40, 400))
    return "/" + "".join(generator.choices(alphabet, k=length))


@pytest.mark.parametrize("limit", [1, 8, 200])
def test_hostile_paths_are_bounded_in_routes_and_in_memory(limit: int) -> None:
    generator = random.Random(7)
    routes = Routes(limit=limit).of("shop")
    given_out = set()
    for number in range(20_000):
        path = hostile_path(generator)
        if number % 3 == 0:
            path = "/" + "/".join(generator.choices(words(500), k=generator.randrange(1, 8)))
        given_out.add(routes.find(path, generator.choice((200, 404, 500))))
        assert len(routes.cache) <= CACHED_PATHS
    assert len(given_out - {"", OVERFLOW}) <= limit
    assert routes._tree is not None
    assert nodes(routes._tree._root) <= (limit + 1) * DEEPEST + 1


def test_the_limit_has_one_overflow_value() -> None:
    routes = Routes(limit=4).of("shop")
    found = [routes.find(f"/{one}/{two}", 200) for one in ("a", "b", "c") for two in ("d", "e")]
    assert found[:4] == ["/a/d", "/a/e", "/b/d", "/b/e"]
    assert found[4:] == [OVERFLOW, OVERFLOW]
    assert routes.find("/a/d", 200) == "/a/d"


@settings(max_examples=300)
@given(st.lists(st.tuples(st.text(max_size=60), st.integers(0, 999)), max_size=40))
def test_never_raises_and_answers_the_same_twice(paths: list[tuple[str, int]]) -> None:
    routes = Routes([Rule("*", ["/u/{id}", "/f/**"])], limit=5).of("shop")
    for path, status in paths:
        routes.find("/" + path, status)
    for path, status in paths:
        route = routes.find("/" + path, status)
        assert routes.cache.get("/" + path, route) == route
        assert "\x00" not in route
