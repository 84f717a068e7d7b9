"""Logs: each line one JSON object, and never a secret in one."""

import re
from urllib.parse import parse_qsl

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

HIDDEN = "[redacted]"
# An underscore, also when it arrived percent-encoded, once or more often.
_BAR = r"(?:_|%(?:25)*5f)"
_NAMES = (
    r"(?:x[_-])?api[_-]?key|key|(?:access[_-]?|refresh[_-]?)?token|authorization|password|passwd|secret|"
    r"csrfmiddlewaretoken|sessionid|signature"
)
_RULES = [
    # Our own: partners' keys, and what webhooks are signed with.
    (re.compile(rf"(kir{_BAR}(?:live|test){_BAR})[0-9a-z_%]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"(whsec{_BAR})[0-9a-z+/=_%-]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    # Whatever a parameter with such a name holds, and the headers that carry keys.
    (re.compile(rf"((?:^|[?&;\s\"'])(?:{_NAMES})=)[^&\s\"'<>\\]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"((?:x-api-key|(?:proxy-)?authorization)\\?[\"']?\s*[:=]\s*\\?[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',}\\]+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    # The password in the address of a database, cache or mail server.
    (re.compile(r"(://[^/\s:@\"']*:)[^/\s@\"']+@"), rf"\1{HIDDEN}@"),
]
SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
PLAIN_VALUE = re.compile(r"[A-Za-z0-9 ._:/+-]{0,40}")
MOST_PARAMETERS, LONGEST_PATH = 20, 300


def redact(text: str) -> str:
    """`text` without keys, signing secrets and passwords; what is left says where they stood."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


def shown_path(path: str, query: str = "") -> str:
    """A path with its parameters for the log: all names, and the values that are short and plain. Never a secret."""
    shown = path[:LONGEST_PATH]
    if query:
        try:
            pairs = parse_qsl(query[:4096], keep_blank_values=True, max_num_fields=500)
        except ValueError:
            pairs = []
        parts = [
            f"{name[:50]}={value if PLAIN_VALUE.fullmatch(value) and not SECRET_NAME.fullmatch(name) else '…'}"
            for name, value in pairs[:MOST_PARAMETERS]
        ]
        shown += "?" + "&".join(parts) + ("&…" if len(pairs) > MOST_PARAMETERS else "")
    return redact(shown)


class Lines(JsonFormatter):
    """One record, one line of JSON, redacted last: message, traceback and fields alike."""

    def __init__(self, *arguments, **options):
        super().__init__(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
            # Django hangs the whole request on what it logs; its path is in the message.
            reserved_attrs=[*RESERVED_ATTRS, "request"],
        )

    def format(self, record):
        return redact(super().format(record))
