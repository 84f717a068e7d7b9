"""Paging by key, for pages, admin and API: the thousandth page costs what the first one does."""

from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Q, QuerySet


class InvalidCursor(Exception):
    """A cursor that this list did not give out: torn, forged, or of other filters or another reader."""


@dataclass(frozen=True, slots=True)
class KeysetPage:
    """Some rows of a list in its order, and the cursors of the pages before and after (None at an end)."""

    rows: list
    previous: str | None
    next: str | None


def keyset_page(
    queryset: QuerySet, *, order: str, limit: int, cursor: str = "", scope: str = ""
) -> KeysetPage:
    """One page of `queryset`, ordered by one field (`-` for falling) and then by id in the same direction.

    `scope` names what the cursor belongs to (list, filters, reader); a cursor of another scope is refused. One query.
    """
    field, falling = order.removeprefix("-"), order.startswith("-")
    backward, after = False, None
    if cursor:
        backward, after = read_cursor(queryset, field, cursor, scope + order)
    down = falling != backward
    if after:
        value, pk = after
        side = "lt" if down else "gt"
        if field in ("id", "pk"):
            queryset = queryset.filter(**{f"pk__{side}": pk})
        else:
            queryset = queryset.filter(
                Q(**{f"{field}__{side}": value}) | Q(**{field: value, f"pk__{side}": pk})
            )
            queryset = queryset.filter(**{f"{field}__{side}e": value})
    sign = "-" if down else ""
    keys = [sign + "pk"] if field in ("id", "pk") else [sign + field, sign + "pk"]
    rows = list(queryset.order_by(*keys)[: limit + 1])
    more, rows = len(rows) > limit, rows[:limit]
    if backward:
        rows.reverse()

    def mark(row, back: bool) -> str:
        return signing.dumps([int(back), str(value_of(row, field)), row.pk], salt="cursor:" + scope + order)

    has_next, has_previous = (True, more) if backward else (more, bool(cursor))
    return KeysetPage(
        rows,
        mark(rows[0], True) if rows and has_previous else None,
        mark(rows[-1], False) if rows and has_next else None,
    )


def value_of(row, path: str) -> Any:
    """The value that a lookup path such as product__name leads to from `row`."""
    for name in path.split("__"):
        row = getattr(row, name)
    return row


def read_cursor(queryset: QuerySet, field: str, cursor: str, scope: str) -> tuple[bool, tuple]:
    """(backward, (value, id)) of a cursor that `keyset_page` gave out for this scope; refuses any other."""
    try:
        backward, value, pk = signing.loads(cursor, salt="cursor:" + scope)
        return bool(backward), (python_value(queryset.model, field, value), pk)
    except (signing.BadSignature, ValueError, TypeError, ValidationError) as error:
        raise InvalidCursor from error


def python_value(model, path: str, value: str) -> Any:
    """`value` as the type of the field that `path` leads to; annotations are compared as they are."""
    try:
        for name in path.split("__"):
            field = model._meta.get_field(name)
            model = field.related_model
    except FieldDoesNotExist:
        return value
    return field.to_python(value)
