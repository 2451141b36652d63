"""`http.route` of a call: by the user's rules, else by what was learned of the service's paths.

The conventions want the framework's own template and forbid the raw path. From outside, a template
can be given (`route_rules`) or learned (`route_tree`); either way it has few values: a service has
at most `limit` learned routes, and what is over that is `/{overflow}`.

Only a response that lets one think that the application knows the path makes a route. One that
denies it or says nothing (`SAYS_NOTHING`: 404 and the like, or no response) may have a route that
is known already, and else has none, as with a framework's own instrumentation: someone who scans
for paths creates no routes. CONNECT and `OPTIONS *` have no path, hence no route.

Found routes are cached by path, bounded, so that a path that repeats costs one dictionary lookup.
"""

from __future__ import annotations

from collections.abc import Iterable

from otel_ebpf.signals.route_rules import RouteRule, RouteRules, ServiceRules
from otel_ebpf.signals.route_tree import LONGEST_PATH, OVERFLOW, RouteTree

__all__ = ["OVERFLOW", "SAYS_NOTHING", "Routes", "ServiceRoutes"]

SAYS_NOTHING = frozenset({0, 400, 404, 405, 410, 414, 421, 431, 501, 505})
CACHED_PATHS = 1024
CACHED_PATH_LENGTH = 256


class Routes:
    """How routes are found; makes a `ServiceRoutes` for each service.

    `learn` False leaves paths that no rule fits without a route. `limit` is the number of different
    learned routes of a service. Raises ValueError for a rule's pattern that is none.
    """

    def __init__(self, rules: Iterable[RouteRule] = (), learn: bool = True, limit: int = 200) -> None:
        self._rules = RouteRules(rules)
        self._learn = learn
        self._limit = limit

    def of(self, service: str, own: RouteRules | None = None) -> ServiceRoutes:
        """Return the routes of the service of that name, none learned yet. `own` rules of it come first."""
        tree = RouteTree(self._limit) if self._learn else None
        return ServiceRoutes(self._rules_of(service, own), tree)

    def renew(self, routes: ServiceRoutes, service: str, own: RouteRules | None) -> None:
        """Have the routes of a service go by other rules of its own. What was learned stays."""
        routes.renew(self._rules_of(service, own))

    def _rules_of(self, service: str, own: RouteRules | None) -> ServiceRules:
        rules = self._rules.of(service)
        return own.of(service).before(rules) if own is not None else rules


class ServiceRoutes:
    """The routes of one service. `cache` is for the hot path to look into: path -> route."""

    def __init__(self, rules: ServiceRules, tree: RouteTree | None) -> None:
        self.cache: dict[str, str] = {}
        self._rules = rules
        self._tree = tree

    def renew(self, rules: ServiceRules) -> None:
        """Go by other rules."""
        self._rules = rules
        self.cache.clear()

    def settled(self, path: str) -> bool:
        """Whether `path`, just looked for, stays what it is until the next merge."""
        return self._tree is None or path in self.cache

    @property
    def merges(self) -> int:
        """How often routes that were found before became others."""
        return self._tree.merges if self._tree else 0

    def find(self, path: str, status: int) -> str:
        """Return the route of `path`, answered with `status` (0 for no response); "" for none."""
        if not path.startswith("/"):
            return ""
        known = self._rules.match(path) if len(path) <= LONGEST_PATH else ""
        route = known or self._learned(path, status)
        if route and len(path) <= CACHED_PATH_LENGTH:
            if len(self.cache) >= CACHED_PATHS:
                self.cache.clear()
            self.cache[path] = route
        return route

    def _learned(self, path: str, status: int) -> str:
        tree = self._tree
        if tree is None:
            return ""
        if status in SAYS_NOTHING:
            return tree.find(path)
        merges = tree.merges
        route = tree.learn(path)
        if tree.merges != merges:
            self.cache.clear()
        return route
