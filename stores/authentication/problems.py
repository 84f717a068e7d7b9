"""What the API refuses, and with which words. The codes never change; the sentences may."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError, OperationalError
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException

# code: (status, title). `details` of a refusal may carry codes of their own beside these.
CODES = {
    "bad_request": (400, _("The request arrived broken")),
    "parse_error": (400, _("The body is not JSON")),
    "validation_error": (400, _("Something in the request is wrong")),
    "unknown_field": (400, _("The body has a field that is not known")),
    "duplicate_key": (400, _("The body gives one field twice")),
    "unknown_parameter": (400, _("The address has a parameter that is not known")),
    "repeated_parameter": (400, _("The address gives one parameter twice")),
    "invalid_cursor": (400, _("The cursor does not belong to this list")),
    "reference_required": (400, _("A reference is required")),
    "key_in_url": (400, _("A key must not stand in an address")),
    "null_character": (400, _("The request holds a null character")),
    "unauthenticated": (401, _("No valid API key")),
    "insufficient_scope": (403, _("The key may not do this")),
    "not_found": (404, _("Not found")),
    "method_not_allowed": (405, _("This method is not allowed here")),
    "request_timeout": (408, _("The request did not arrive in time")),
    "insufficient_stock": (409, _("Not enough stock")),
    "already_reversed": (409, _("Already voided or returned")),
    "store_not_open": (409, _("The store does not take this now")),
    "duplicate_sku": (409, _("The SKU is taken")),
    "duplicate_barcode": (409, _("The barcode is taken")),
    "duplicate_webhook": (409, _("The key has a webhook for this address")),
    "webhook_ended": (409, _("The webhook is switched off")),
    "version_conflict": (412, _("Changed by somebody else in the meantime")),
    "body_too_large": (413, _("The body is too large")),
    "address_too_long": (414, _("The address is too long")),
    "unsupported_media_type": (415, _("The body must be JSON in UTF-8")),
    "idempotency_key_reused": (422, _("The reference was used for something else")),
    "if_match_required": (428, _("If-Match is required")),
    "rate_limited": (429, _("Too many requests")),
    "headers_too_large": (431, _("The headers are too large")),
    "server_error": (500, _("Our fault")),
    "unavailable": (503, _("Not available just now")),
    "busy": (503, _("Too busy just now")),
    "storage_full": (503, _("No room to store this")),
}
# One wrong value names its code at the top too where that code is one of the contract's; any other is a validation_error.
TOP = frozenset(code for code, (status, _title) in CODES.items() if status == 400)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where (JSON pointer into the body; for a parameter or header its name), a code, a sentence."""

    pointer: str
    code: str
    detail: str


class Problem(APIException):
    """A refusal. `code` decides the status; `faults` say which parts of the request are meant."""

    def __init__(self, code: str, detail=None, faults: Iterable[Fault] = (), wait: int | None = None):
        self.status_code, title = CODES[code]
        super().__init__(detail or title, code)
        self.code, self.faults = code, list(faults)
        if wait is not None:
            self.wait = wait

    @property
    def sentence(self) -> str:
        return str(self.detail)


class Invalid(Problem):
    """Wrong input: `faults` in the order in which they were found."""

    def __init__(self, faults: Iterable[Fault], detail=None):
        faults = list(faults)
        code = faults[0].code if faults[0].code in TOP else "validation_error"
        super().__init__(code, detail or faults[0].detail, faults)


def fault(pointer: str, code: str, detail) -> Invalid:
    """A refusal for one wrong thing."""
    return Invalid([Fault(pointer, code, str(detail))])


def escaped(name) -> str:
    """`name` as one step of a JSON pointer (RFC 6901), cut where it is very long."""
    return str(name)[:100].replace("~", "~0").replace("/", "~1")


def faults_of(detail, pointer: str = "") -> list[Fault]:
    """The faults in the nested lists and dicts in which REST framework gathers what serializers and filters refuse."""
    if isinstance(detail, dict):
        # What belongs to no field stands under the list's or serializer's own name for it.
        return [
            found
            for name, inner in detail.items()
            for found in faults_of(
                inner, pointer if name == "non_field_errors" else f"{pointer}/{escaped(name)}"
            )
        ]
    if isinstance(detail, list):
        found = []
        for index, inner in enumerate(detail):
            deeper = f"{pointer}/{index}" if isinstance(inner, (dict, list)) else pointer
            found += faults_of(inner, deeper)
        return found
    code = CODE_OF.get(detail.code, detail.code)
    return [Fault(pointer, code, str(detail))]


# REST framework's and django-filter's words for what has a name of its own here.
CODE_OF = {
    "max_length": "too_long",
    "invalid": "wrong_type",
    "null": "wrong_type",
    "not_a_list": "wrong_type",
    "null_characters_not_allowed": "null_character",
    "max_value": "out_of_range",
    "min_value": "out_of_range",
}


# PostgreSQL's SQLSTATE: lock not available, statement cancelled, deadlock, serialization failure.
BUSY = frozenset({"55P03", "57014", "40P01", "40001"})
DISK_FULL = "53100"
RETRY = 2  # seconds


def problem_of_database(error: DatabaseError) -> Problem | None:
    """The answer to a database that is away, busy or full: come again. None for an error that is a fault of ours."""
    state = getattr(error.__cause__, "sqlstate", None)
    if state in BUSY:
        return Problem(
            "busy",
            _("Others are at work on the same goods. Send it again: nothing was recorded."),
            wait=RETRY,
        )
    if state == DISK_FULL:
        return Problem("storage_full", _("Nothing can be stored just now. Nothing was recorded."), wait=60)
    if isinstance(error, (OperationalError, InterfaceError)):
        return Problem(
            "unavailable",
            _("The database cannot be reached just now. Send it again in a moment."),
            wait=RETRY,
        )
    return None
