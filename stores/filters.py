"""Fields for filters of lists, as strict as the bodies of the API: an instant needs its offset, a day is a day."""

import re
from datetime import UTC, date, datetime

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from stores.models import Delivery, Store

INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|z|[+-]\d\d:[0-5]\d)?", re.ASCII
)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
FIRST_YEAR, LAST_YEAR = 2000, 2100
LONGEST = 40


def read_instant(text: str) -> datetime:
    """The instant that `text` names in RFC 3339 with an offset, as UTC; refuses any other way of writing it.

    At most microseconds; years 2000 to 2100.
    """
    found = INSTANT.fullmatch(text) if len(text) <= LONGEST else None
    if not found:
        raise ValidationError(_("Write the time as 2026-11-22T09:41:07+05:00."), code="invalid_time")
    if not found[8]:
        raise ValidationError(_("The time needs an offset, such as +05:00."), code="naive_datetime")
    if len(found[7] or "") > 6:
        raise ValidationError(_("A time has at most 6 decimals of a second."), code="invalid_time")
    try:
        if found[4] == "24":  # newer Pythons take it for the next midnight
            raise ValueError
        instant = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
        instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValidationError(_("There is no such time."), code="invalid_time") from None
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise ValidationError(_("The time lies too far away."), code="out_of_range")
    return instant


def read_day(text: str) -> date:
    """The day that `text` names as 2026-11-22; refuses any other way of writing it. Years 2000 to 2100."""
    if not DAY.fullmatch(text):
        raise ValidationError(_("Write the day as 2026-11-22."), code="invalid_date")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValidationError(_("There is no such day."), code="invalid_date") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValidationError(_("Choose a day between the years 2000 and 2100."), code="out_of_range")
    return day


class InstantField(forms.CharField):
    def to_python(self, value):
        text = super().to_python(value)
        # In an address a bare + is a space; people forget to write it as %2B.
        return read_instant(re.sub(r" (\d\d:\d\d)\Z", r"+\1", text)) if text else None


class DayField(forms.CharField):
    widget = forms.DateInput(attrs={"type": "date"})

    def to_python(self, value):
        text = super().to_python(value)
        return read_day(text) if text else None


class InstantFilter(django_filters.IsoDateTimeFilter):
    """An instant in RFC 3339 with its offset."""

    field_class = InstantField


class DayFilter(django_filters.DateFilter):
    """A business date."""

    field_class = DayField


class StoreFilter(django_filters.FilterSet):
    city = django_filters.CharFilter(field_name="city", lookup_expr="iexact", max_length=100)
    status = django_filters.ChoiceFilter(choices=Store.Status.choices)

    class Meta:
        model = Store
        fields = []


class DeliveryFilter(django_filters.FilterSet):
    status = django_filters.ChoiceFilter(choices=Delivery.Status.choices)

    class Meta:
        model = Delivery
        fields = []
