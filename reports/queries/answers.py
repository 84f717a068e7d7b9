"""What an answer is made of: periods, categories, rows and their sums."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from django.core.exceptions import ValidationError
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext as _

from catalog.models import Category

MAX_DAYS = 400
OLDEST_DAY, NEWEST_DAY = date(2000, 1, 1), date(2100, 12, 31)
PAISA, GRAM = Decimal("0.01"), Decimal("0.001")
SUBTREE = """(WITH RECURSIVE tree AS (
    SELECT id FROM catalog_category WHERE id = %s
    UNION SELECT c.id FROM catalog_category c JOIN tree ON c.parent_id = tree.id
) SELECT id FROM tree)"""


def tree_of(category: Category) -> RawSQL:
    """The ids of `category` and of all that nest in it, for use behind `__in`."""
    return RawSQL(SUBTREE, [category.pk])  # noqa: S611 - constant text, the id is a parameter


class InvalidPeriod(ValidationError):
    """A range of days that no report takes; `field` is the end of it that is wrong ("from" or "to")."""

    def __init__(self, message, code, field):
        super().__init__(message, code=code)
        self.field = field


@dataclass(frozen=True, slots=True)
class Report:
    """One answer: rows in their order, and the sums over exactly these rows."""

    rows: list[dict]
    totals: dict


@dataclass(frozen=True, slots=True)
class ValueReport(Report):
    """Value by category, and the products that most of the money lies in."""

    top: list[dict] = field(default_factory=list)


def check_period(start: date, end: date) -> None:
    """Refuses business dates that run backwards, are longer than 400 days, or lie outside 2000 to 2100."""
    for name, day in (("from", start), ("to", end)):
        if not OLDEST_DAY <= day <= NEWEST_DAY:
            raise InvalidPeriod(_("Choose a day between the years 2000 and 2100."), "out_of_range", name)
    if start > end:
        raise InvalidPeriod(_("The first day lies after the last one."), "from_after_to", "from")
    if (end - start).days >= MAX_DAYS:
        raise InvalidPeriod(
            _("A report covers at most %(days)d days.") % {"days": MAX_DAYS}, "range_too_long", "to"
        )


def totals_of(rows: Iterable[dict], **columns) -> dict:
    """The sum of each named column: a whole number where 0 is given, else a Decimal with the exponent of the one given."""
    return {
        name: (
            sum((row[name] for row in rows), Decimal(0)).quantize(unit)
            if unit
            else sum(row[name] for row in rows)
        )
        for name, unit in columns.items()
    }


def percent(part: Decimal, whole: Decimal) -> Decimal | None:
    """`part` of `whole` in percent, 2 decimals, half up; None of nothing or less."""
    return (100 * part / whole).quantize(PAISA, ROUND_HALF_UP) if whole > 0 else None
