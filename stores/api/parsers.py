"""Reading a body: JSON in UTF-8 and nothing else, once per name, without float, not too large and not too deep."""

import json
import re
from decimal import Decimal, InvalidOperation

from django.conf import settings
from django.http import UnreadablePostError
from django.utils.translation import gettext as _
from rest_framework.parsers import BaseParser

from stores.authentication.problems import Fault, Problem, escaped, fault

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
    check_tree(value)
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


def once(pairs: list[tuple]) -> dict:
    """The object of `pairs`; refuses a name that comes twice, of which one reader takes the first, another the last."""
    made = dict(pairs)
    if len(made) != len(pairs):
        seen = set()
        name = next(name for name, _value in pairs if name in seen or seen.add(name))
        shown = SURROGATE.sub("?", escaped(name).replace("\0", ""))
        raise fault(f"/{shown}", "duplicate_key", _("The field %(name)s comes twice.") % {"name": shown})
    return made


def too_deep() -> Problem:
    return broken(_("The body is nested more than %(most)d deep.") % {"most": DEEPEST}, "too_deep")


def check_tree(value) -> None:
    """Refuses nesting beyond DEEPEST, and strings or names with what no database or other reader takes."""
    waiting = [(value, "", 1)]
    while waiting:
        value, pointer, depth = waiting.pop()
        if isinstance(value, str):
            check_string(value, pointer)
        elif isinstance(value, (dict, list)):
            if depth > DEEPEST:
                raise too_deep()
            rows = value.items() if isinstance(value, dict) else enumerate(value)
            for name, inner in rows:
                if isinstance(name, str):
                    check_string(name, pointer)
                if isinstance(inner, (str, dict, list)):
                    waiting.append(
                        (inner, f"{pointer}/{name if isinstance(name, int) else escaped(name)}", depth + 1)
                    )


def check_string(text: str, pointer: str) -> None:
    if "\0" in text:
        raise fault(pointer, "null_character", _("No text holds a null character."))
    if SURROGATE.search(text):
        raise fault(pointer, "bad_character", _("This holds half of a character."))
