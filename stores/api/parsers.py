"""Reading a body: JSON in UTF-8 and nothing else, once per name, without float, not too large and not too deep."""

import json
import re
from decimal import Decimal, InvalidOperation

from django.conf import settings
from django.http import UnreadablePostError
from django.utils.translation import gettext as _
from rest_framework.parsers import BaseParser

from stores.authentication.problems import Fault, Problem, escaped, fault
from stores.models import holds_secret

DEEPEST = 32
LONGEST_NUMBER = 100
JSON_TYPES = ("application/json",)
SURROGATE = re.compile("[\ud800-\udfff]")


class StrictJSON(BaseParser):
    """A JSON object. Numbers with a point or an exponent become Decimal."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        check_headers(parser_context["request"].META)
        limit = settings.API_LIMITS["body_bytes"]
        try:
            data = stream.read(limit + 1)
        except UnreadablePostError:
            raise broken(_("The body broke off.")) from None
        if len(data) > limit:
            raise too_large()
        return parse_object(data)


def check_headers(meta) -> None:
    """Refuses a body that is not JSON in plain UTF-8, or too large, by its headers: before a byte of it is read."""
    kind, *parameters = [part.strip().lower() for part in meta.get("CONTENT_TYPE", "").split(";")]
    if kind not in JSON_TYPES:
        raise Problem("unsupported_media_type", _("Send the body with Content-Type: application/json."))
    for parameter in parameters:
        name, _equals, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            words = _("JSON is sent in UTF-8.")
            raise Problem("unsupported_media_type", words, [Fault("", "unsupported_charset", words)])
    if meta.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in ("", "identity"):
        words = _("Send the body as it is, without Content-Encoding.")
        raise Problem("unsupported_media_type", words, [Fault("", "unsupported_encoding", words)])
    length = meta.get("CONTENT_LENGTH") or "0"
    if (
        length.isascii()
        and length.isdigit()
        and (len(length) > 18 or int(length) > settings.API_LIMITS["body_bytes"])
    ):
        raise too_large()


def too_large() -> Problem:
    return Problem("body_too_large", _("A body has at most 1 MiB. Send it in several parts."))


def broken(why: str, code: str = "parse_error", pointer: str = "") -> Problem:
    return Problem("parse_error", why, [Fault(pointer, code, why)])


def parse_object(data: bytes) -> dict:
    """The object in `data`; refuses everything that another reader might understand otherwise."""
    if not data.strip():
        raise broken(_("The body is empty."))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise broken(_("The body is not UTF-8 at byte %(place)d.") % {"place": error.start}) from None
    try:
        value = json.loads(
            text, parse_float=decimal, parse_int=whole, parse_constant=refuse_constant, object_pairs_hook=once
        )
    except RecursionError:
        raise too_deep() from None
    except json.JSONDecodeError as error:
        where = {"why": error.msg, "line": error.lineno, "column": error.colno}
        raise broken(_("Not JSON: %(why)s (line %(line)d, column %(column)d).") % where) from None
    # A letter that stands in no other form than its own can be looked for in the whole text at once.
    plain = text.isascii() and "\\u" not in text and not holds_secret(text)
    check_tree(value, strings=not plain)
    if not isinstance(value, dict):
        raise fault("", "wrong_type", _("Send an object with fields."))
    return value


def decimal(text: str) -> Decimal:
    """A number with a point or an exponent, exactly as written."""
    if len(text) > LONGEST_NUMBER:
        raise broken(_("A number is too long."))
    try:
        return Decimal(text)
    except InvalidOperation:
        # An exponent beyond what Decimal holds.
        return Decimal("-9E+999" if text.startswith("-") else "9E+999")


def whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise broken(_("A number is too long."))
    return int(text)


def refuse_constant(name: str):
    raise broken(_("%(name)s is not JSON.") % {"name": name})


class Twice(dict):
    """An object that gives one name twice, of which one reader takes the first and another the last."""


def once(pairs: list[tuple]) -> dict:
    """The object of `pairs`, marked when a name comes twice in it."""
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    seen = set()
    return Twice({"name": next(name for name, _value in pairs if name in seen or seen.add(name))})


def refuse_twice(name: str, pointer: str):
    check_string(name, None)
    shown = SURROGATE.sub("?", escaped(name).replace("\0", ""))
    raise fault(f"{pointer}/{shown}", "duplicate_key", _("The field %(name)s comes twice.") % {"name": shown})


def too_deep() -> Problem:
    return broken(_("The body is nested more than %(most)d deep.") % {"most": DEEPEST}, "too_deep")


HOLDS = frozenset({dict, list, Twice})


def check_tree(value, *, strings: bool = True) -> None:
    """Refuses nesting beyond DEEPEST, names that come twice, and (`strings`) what no database or other reader takes."""
    # A place is (place of what it stands in, name or number): hardly any body ever needs it in words.
    open_rows = [(iter(enumerate([value])), None)]
    while open_rows:
        rows, place = open_rows[-1]
        deep, top = len(open_rows) > DEEPEST, len(open_rows) == 1
        for name, inner in rows:
            holds = type(inner) in HOLDS
            if not strings and (not holds or not (inner or deep)):
                continue
            here = None if top else (place, name)
            if strings:
                for text, where in ((name, place), (inner, here)):
                    if isinstance(text, str):
                        check_string(text, where)
            if holds:
                if deep:
                    raise too_deep()
                if isinstance(inner, Twice):
                    refuse_twice(inner["name"], pointer_to(here))
                if inner:
                    within = inner.items() if isinstance(inner, dict) else enumerate(inner)
                    open_rows.append((iter(within), here))
                    break
        else:
            open_rows.pop()


def pointer_to(place: tuple | None) -> str:
    """The JSON pointer to a place of `check_tree`."""
    steps = []
    while place is not None:
        place, name = place
        steps.append(f"/{escaped(name)}")
    return "".join(reversed(steps))


def check_string(text: str, place: tuple | None) -> None:
    if holds_secret(text):
        # What is recorded is recorded for ever, and read by others. The answer does not name the place: it may be the key.
        raise fault(
            "",
            "secret_in_text",
            _("A secret key stands in this body. Send keys in the header X-API-Key alone."),
        )
    if text.isascii() and "\0" not in text:
        return
    if "\0" in text:
        raise fault(pointer_to(place), "null_character", _("No text holds a null character."))
    if SURROGATE.search(text):
        raise fault(pointer_to(place), "bad_character", _("This holds half of a character."))
