"""Takes secrets out of command lines before they leave the process.

`process.command_line` is what a user needs to tell two processes apart, and where passwords stand in
the open. The conventions allow it by default only when sanitised. Redacted are: the values of
options, assignments, headers and query parameters whose names speak of secrets (`--password x`,
`-Dspring.datasource.password=x`, `PGPASSWORD=x`, `Authorization: x`, `?api_key=x`), the value of
curl's `-u`, mysql's attached `-px`, user info in URLs, and strings with the shape of known tokens
(AWS, GitHub, Slack, JSON Web Tokens). A secret as a bare argument cannot be told from any other.
"""

from __future__ import annotations

import os
import re

__all__ = ["command_line"]

CHARACTERS_MAX = 1024
ARGUMENTS_MAX = 256
REDACTED = "REDACTED"

_SENSITIVE = (
    r"pass(?:w(?:or)?d|phrase|code)?|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?"
    r"|auth(?:orization|entication)?|cookie|bearer|jwt|signature|sig|pin|license[-_]?key|encryption[-_]?key"
)
# The word stands alone in the name, or at a boundary of it: --db-password, PGPASSWORD, but not --author.
_NAME = (
    rf"(?:(?:[\w.-]*[._-])?(?:{_SENSITIVE})(?:[._-](?:key|value|string|hash|header|id))?"
    r"|[A-Za-z]*(?:PASSWORD|SECRET|TOKEN))"
)
_OPTION = re.compile(rf"--?{_NAME}", re.IGNORECASE)
_WHOLE = re.compile(rf"(-{{0,2}}[A-Z]?{_NAME}=).+", re.IGNORECASE | re.DOTALL)
_ASSIGNED = re.compile(
    rf"((?<![\w.-])-{{0,2}}[A-Z]?{_NAME}[\"']?\s{{0,4}}[=:]\s{{0,4}})([^\s&;,]+)", re.IGNORECASE
)
_HEADER = re.compile(rf"((?<![\w.-])(?:x-)?{_NAME}\s{{0,4}}:\s{{0,4}}).+", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"\b(bearer|basic|digest)\s+\S+", re.IGNORECASE)
_USER_INFO = re.compile(r"([A-Za-z][\w+.-]{0,31}://)[^/\s@]*(?:@[^/\s@]*)*@")
_TOKEN = re.compile(
    r"\bA[KS]IA[0-9A-Z]{12,}|\bgh[pousr]_\w{16,}|\bgithub_pat_\w{16,}|\bxox[a-z]-[\w-]{8,}|\bsk-[\w-]{16,}"
    r"|\beyJ[\w-]{8,}\.[\w-]*(?:\.[\w-]*)?"
)
_USER = re.compile(r"(--(?:proxy-)?user=|-u)[^:\s]*:.*", re.DOTALL)
_USER_OPTIONS = frozenset(("-u", "--user", "--proxy-user", "-U"))
_ATTACHED_PASSWORD = frozenset(
    ("mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "mariadb-admin")
)


def command_line(arguments: tuple[str, ...], executable: str = "") -> str:
    """Return the arguments joined by spaces, without their secrets, printable, at most 1024 characters."""
    attached = os.path.basename(executable) in _ATTACHED_PASSWORD
    shown: list[str] = []
    before = ""
    for argument in arguments[:ARGUMENTS_MAX]:
        short = argument[: CHARACTERS_MAX * 2]
        if _OPTION.fullmatch(before[:128]) and not short.startswith("--"):
            shown.append(REDACTED)
        elif before in _USER_OPTIONS and ":" in short:
            shown.append(f"{REDACTED}:{REDACTED}")
        elif attached and short.startswith("-p") and len(short) > 2:
            shown.append(f"-p{REDACTED}")
        else:
            shown.append(_redact(short))
        before = argument
    text = " ".join("".join(c if c.isprintable() else " " for c in argument) for argument in shown)
    return text[:CHARACTERS_MAX]


def _redact(text: str) -> str:
    if whole := _WHOLE.fullmatch(text):  # the value may hold spaces
        return whole.group(1) + REDACTED
    if user := _USER.fullmatch(text):
        return f"{user.group(1)}{REDACTED}:{REDACTED}"
    text = _USER_INFO.sub(rf"\1{REDACTED}:{REDACTED}@", text)
    text = _HEADER.sub(rf"\1{REDACTED}", text) if " " in text else text
    text = _ASSIGNED.sub(rf"\1{REDACTED}", text)
    text = _SCHEME.sub(rf"\1 {REDACTED}", text)
    return _TOKEN.sub(REDACTED, text)
