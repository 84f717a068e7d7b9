"""Fields and serializers that take exactly what the contract says and nothing that only looks like it.

Numbers become Decimal without passing through float; nothing is rounded, trimmed to fit or converted on the way in.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, cached_property
from operator import attrgetter

from django.core.exceptions import ValidationError as Refused
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.fields import empty

from stores.filters import read_day, read_instant

LONGEST_NUMBER = 40
MOST_WRONG = 100
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u061c]")
# Letters without ink that Unicode does not count as space or format: fillers of Hangul, the empty Braille cell.
INKLESS = frozenset("\u034f\u115f\u1160\u3164\uffa0\u2800")
SCIENTIFIC = re.compile(r"[+-]?\d+(?:\.\d*)?[eE]([+-]?\d+)", re.ASCII)
PLAIN = re.compile(r"-?(\d+)(?:\.(\d+))?", re.ASCII)


class Strict(serializers.Serializer):
    """A serializer that refuses fields it does not have."""

    default_error_messages = {
        "wrong_type": _("Send an object with fields."),
        "null": _("Send an object with fields."),
        "unknown_field": _("There is no such field."),
        "empty": _("Give at least one field to change."),
        "duplicate_key": _("This is the same as {name}: send one of them."),
    }
    # Names of the first system, still understood: {old name: name}.
    synonyms: dict[str, str] = {}
    # How many fields are sent at least; fields of which exactly one is sent, and fields that exclude each other; for the schema, `validate` sees to it.
    fewest = 0
    one_of: tuple[tuple[str, ...], ...] = ()
    not_both: tuple[tuple[str, str], ...] = ()

    @cached_property
    def plan(self) -> dict[str, tuple]:
        """(how it is read, whether it is required) of each field that may be sent, worked out once."""
        return {
            name: (field.run_validation, field.required)
            for name, field in self.fields.items()
            if not field.read_only
        }

    def run_validation(self, data=empty):
        if data is empty or data is None:
            return super().run_validation(data)
        taken = self.to_internal_value(data)
        try:
            return self.validate(taken)
        except (ValidationError, Refused) as error:
            raise ValidationError(serializers.as_serializer_error(error)) from None

    def to_internal_value(self, data):
        if not isinstance(data, Mapping):
            raise ValidationError(
                {"non_field_errors": [ErrorDetail(self.error_messages["wrong_type"], "wrong_type")]}
            )
        if len(data) < self.fewest:
            raise ValidationError({"non_field_errors": [ErrorDetail(self.error_messages["empty"], "empty")]})
        said = {}
        if not self.synonyms.keys().isdisjoint(data):
            for old, name in self.synonyms.items():
                if old in data and name in data:
                    message = self.error_messages["duplicate_key"].format(name=name)
                    raise ValidationError({old: [ErrorDetail(message, "duplicate_key")]})
            said = {name: old for old, name in self.synonyms.items() if old in data}
            data = {self.synonyms.get(name, name): value for name, value in data.items()}
        plan = self.plan
        if not data.keys() <= plan.keys():
            message = self.error_messages["unknown_field"]
            unknown = [name for name in data if name not in plan]
            raise ValidationError({name: [ErrorDetail(message, "unknown_field")] for name in unknown[:20]})
        taken, wrong = {}, {}
        for name, (read, required) in plan.items():
            if name not in data and not required:
                continue
            try:
                taken[name] = read(data.get(name, empty))
            except ValidationError as error:
                # Where something is wrong is told in the sender's own words.
                wrong[said.get(name, name)] = error.detail
        if wrong:
            raise ValidationError(wrong)
        return taken


@cache
def kept(shape: type[serializers.BaseSerializer], **context) -> serializers.BaseSerializer:
    """The one serializer of a class and context that all requests share: to make one, all its fields are copied.

    For `run_validation` and `to_representation` alone, which keep nothing of what passes through them.
    """
    return shape(context=context)


class StrictList(serializers.ListField):
    """A list with bounds that are checked before its rows are."""

    default_error_messages = {
        "wrong_type": _("Send a list."),
        "too_many": _("At most {max_length} rows."),
        "empty": _("Give at least one row."),
    }
    too_many = "too_many"

    def __init__(self, *args, **kwargs):
        self.too_many = kwargs.pop("too_many", self.too_many)
        self.most, self.least = kwargs.pop("max_length", None), kwargs.pop("min_length", 0)
        super().__init__(*args, **kwargs)

    def to_internal_value(self, data):
        if not isinstance(data, list):
            self.fail("wrong_type")
        if len(data) < self.least:
            self.fail("empty")
        if self.most is not None and len(data) > self.most:
            message = self.error_messages["too_many"].format(max_length=self.most)
            raise ValidationError(message, code=self.too_many)
        return self.run_child_validation(data)

    def run_child_validation(self, data):
        """Every row; gives up after so many wrong ones that no answer would name more."""
        rows, wrong = [], {}
        for index, row in enumerate(data):
            try:
                rows.append(self.child.run_validation(row))
            except ValidationError as error:
                wrong[index] = error.detail
                if len(wrong) == MOST_WRONG:
                    break
        if wrong:
            raise ValidationError(wrong)
        return rows


class Direct:
    """A field that reads what was sent at once: REST framework asks the whole form first, for each value anew."""

    def run_validation(self, data=empty):
        if data is empty or data is None:
            return super().run_validation(data)
        value = self.to_internal_value(data)
        self.run_validators(value)
        return value

    def run_validators(self, value):
        if self.validators:
            super().run_validators(value)


class Shown(serializers.ModelSerializer):
    """A serializer for answers alone: how each field is read of a row is worked out once, not for each row."""

    def to_representation(self, row):
        shape, simple, values_of, numbers, others = self.reading
        shown = shape.copy()
        shown.update(zip(simple, values_of(row)))  # noqa: B905  (twice as fast; both are of one length)
        for name, step, show in numbers:
            if (number := shown[name]) is not None:
                # With no more than 6 decimals str() writes no exponent, in a third of the time.
                shown[name] = str(number) if number.same_quantum(step) else show(number)
        for name, read in others:
            shown[name] = read(row)
        return shown

    def shown_fields(self) -> list[serializers.Field]:
        """The fields that are shown, in their order."""
        return list(self._readable_fields)

    @cached_property
    def reading(self) -> tuple:
        """(all names in order, names that are read at once, how, (name, last decimal, other way) of numbers, (name, how) of others)."""
        fields = self.shown_fields()
        simple = [field for field in fields if is_simple(field)]
        numbers = [
            (field.field_name, Decimal(1).scaleb(-field.decimal_places), field.to_representation)
            for field in simple
            if type(field) is serializers.DecimalField
        ]
        others = [(field.field_name, reader_of(field)) for field in fields if not is_simple(field)]
        return (
            dict.fromkeys(field.field_name for field in fields),
            [field.field_name for field in simple],
            attrgetter(*(field.source for field in simple)),
            numbers,
            others,
        )


AS_IT_IS = (
    serializers.IntegerField,
    serializers.BigIntegerField,
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
)


def is_simple(field: serializers.Field) -> bool:
    """Whether `field` shows what stands in the row: numbers and words, without a detour and without a default."""
    return (
        type(field) in (*AS_IT_IS, serializers.DecimalField)
        and field.source != "*"
        and field.default is empty
    )


def instant_text(value: datetime) -> str:
    """As REST framework writes an instant where the time zone is UTC, which it is in the API, without asking for each."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def reader_of(field: serializers.Field) -> Callable:
    """What any other `field` shows of a row, as REST framework would."""
    if isinstance(field, serializers.SerializerMethodField):
        return getattr(field.parent, field.method_name)
    get, show = field.get_attribute, field.to_representation
    if type(field) is serializers.DateTimeField:
        get, show = attrgetter(field.source), instant_text
    if type(field) in AS_IT_IS and field.default is not empty:
        get = attrgetter(field.source)

        def read(row):
            try:
                return get(row)
            except AttributeError:  # what it should be of is None
                return field.default

        return read

    def read(row):
        value = get(row)
        return None if value is None else show(value)

    return read


class Exact(Direct, serializers.DecimalField):
    """A decimal number: a string such as "1.250", or a JSON number that was parsed without float.

    `whole` digits before the point, `decimal_places` after it; `low` and `high` bound it.
    """

    default_error_messages = {
        "wrong_type": _("Send a number as a string, such as “1.250”."),
        "too_long": _("This number is too long."),
        "not_ascii": _("Write numbers with the digits 0-9."),
        "not_a_number": _("This is not a number in the form 1.250."),
        "out_of_range": _("This number is out of range."),
        "too_many_decimals": _("At most {places} decimals; nothing is rounded."),
    }

    def __init__(self, *, whole=9, decimal_places=3, low=None, high=None, **kwargs):
        self.whole, self.low, self.high = whole, low, high
        super().__init__(max_digits=None, decimal_places=decimal_places, **kwargs)

    def validate_empty_values(self, data):
        # An empty string is a wrong number; REST framework would take it for null where null is allowed.
        return serializers.Field.validate_empty_values(self, data)

    def to_internal_value(self, data):
        if isinstance(data, bool) or not isinstance(data, (str, int, Decimal)):
            self.fail("wrong_type")
        number = self.from_text(data) if isinstance(data, str) else self.from_number(data)
        if self.low is not None and self.low >= 0 and number.is_signed():
            self.fail("out_of_range")  # also -0
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            self.fail("out_of_range")
        return number

    def from_text(self, text: str) -> Decimal:
        if len(text) > LONGEST_NUMBER:
            self.fail("too_long")
        if not text.isascii():
            self.fail("not_ascii")
        if found := PLAIN.fullmatch(text):
            if len(found[1]) > self.whole:
                self.fail("out_of_range")
            if len(found[2] or "") > self.decimal_places:
                self.fail("too_many_decimals", places=self.decimal_places)
            return Decimal(text)
        if (found := SCIENTIFIC.fullmatch(text)) and abs(int(found[1])) > self.whole:
            self.fail("out_of_range")
        return self.fail("not_a_number")

    def from_number(self, number: int | Decimal) -> Decimal:
        number = Decimal(number)
        if not number.is_finite():
            self.fail("not_a_number")
        if number and (number.adjusted() >= self.whole or number.adjusted() < -20):
            self.fail("out_of_range")
        if -number.as_tuple().exponent > self.decimal_places:
            self.fail("too_many_decimals", places=self.decimal_places)
        return number


class QuantityField(Exact):
    """Goods in the product's unit, or packs: 3 decimals."""


class PriceField(Exact):
    """Rupees for one unit or a line: 2 decimals, not negative."""

    def __init__(self, **kwargs):
        super().__init__(**{"decimal_places": 2, "low": Decimal(0)} | kwargs)


class CostField(Exact):
    """Rupees that one unit cost: 4 decimals, not negative."""

    def __init__(self, **kwargs):
        super().__init__(**{"decimal_places": 4, "low": Decimal(0)} | kwargs)


def check_free(attrs: dict, price: str, zero_allowed: bool = False) -> None:
    """Refuses a price of 0 that is not said to be meant, by `"free": true` beside it; and `free` beside any other price.

    Takes `free` out of `attrs`: what is kept is the price.
    """
    free, given = attrs.pop("free", False), attrs.get(price)
    if given == 0 and not free and not zero_allowed:
        words = _("A price of 0 has to be meant: send “free”: true with it.")
        raise ValidationError({price: [ErrorDetail(words, "out_of_range")]})
    if free and given != 0:
        words = _("Send free with a price of 0 only.")
        raise ValidationError({"free": [ErrorDetail(words, "not_allowed")]})


class Text(Direct, serializers.Field):
    """Words that people read, composed (NFC) and without spaces around them.

    `notes=True` allows lines and tabs, and drops marks of direction instead of refusing them.
    """

    default_error_messages = {
        "wrong_type": _("Send a string."),
        "too_long": _("At most {max_length} letters."),
        "blank": _("This may not be empty."),
        "control_character": _("This holds a control character."),
        "bidi_control": _("This holds a mark that changes the direction of writing."),
        "bad_character": _("This holds a character that no text has."),
    }

    def __init__(self, *, max_length: int, blank=False, notes=False, **kwargs):
        self.max_length, self.allow_blank, self.notes = max_length, blank, notes
        super().__init__(**kwargs)

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("wrong_type")
        if len(data) > 4 * self.max_length:
            self.fail("too_long", max_length=self.max_length)
        text = unicodedata.normalize("NFC", data.replace("\r\n", "\n") if self.notes else data)
        if self.notes:
            text = BIDI.sub("", text)
        elif BIDI.search(text):
            self.fail("bidi_control")
        text = text.strip(" \n\t") if self.notes else text.strip(" ")
        if not text.isascii() or not text.isprintable():
            self.check_letters(text)
        if not any(is_visible(letter) for letter in text):
            if text or not self.allow_blank:
                self.fail("blank")
            return ""
        if len(text) > self.max_length:
            self.fail("too_long", max_length=self.max_length)
        return text

    def check_letters(self, text: str) -> None:
        """Refuses controls, what ends a line where there is one only, and what is no character at all."""
        for letter in text:
            kind = unicodedata.category(letter)
            if kind in ("Cc", "Zl", "Zp") and not (self.notes and (kind != "Cc" or letter in "\n\t")):
                self.fail("control_character")
            if kind == "Cs" or (kind == "Cn" and is_noncharacter(letter)):
                self.fail("bad_character")

    def to_representation(self, value):
        return str(value)


def is_visible(letter: str) -> bool:
    """Whether `letter` leaves a mark: joiners are part of Urdu words, but no text is made of them alone."""
    return letter not in INKLESS and unicodedata.category(letter) not in ("Zs", "Zl", "Zp", "Cc", "Cf")


def is_noncharacter(letter: str) -> bool:
    """Whether Unicode promises never to give this place a character; one merely not assigned yet may be kept."""
    return 0xFDD0 <= ord(letter) <= 0xFDEF or ord(letter) & 0xFFFE == 0xFFFE


class Code(Direct, serializers.Field):
    """A short name that machines compare: a SKU, a barcode, a store's code. Taken literally."""

    default_error_messages = {
        "wrong_type": _("Send a string."),
        "too_long": _("At most {max_length} letters."),
        "blank": _("This may not be empty."),
        "invalid_code": _("Use letters, digits and signs, without spaces."),
    }

    def __init__(self, *, max_length: int, **kwargs):
        self.max_length = max_length
        super().__init__(**kwargs)

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("wrong_type")
        if not data:
            self.fail("blank")
        if len(data) > self.max_length:
            self.fail("too_long", max_length=self.max_length)
        if not data.isascii() or not data.isprintable() or " " in data:
            self.fail("invalid_code")
        return data

    def to_representation(self, value):
        return str(value)


class StoreCode(Code):
    """The code of a store of this key. What can name none gets the words for one that is not there."""

    default_error_messages = {
        "wrong_type": _("Send the code of a store as a string."),
        "invalid_choice": _("This key has no such store."),
    }

    def __init__(self, **kwargs):
        super().__init__(max_length=20, **kwargs)

    def validate_empty_values(self, data):
        if data is None:
            self.fail("invalid_choice")
        return super().validate_empty_values(data)

    def to_internal_value(self, data):
        # The number of a store, or a fraction, is the wrong way to name one.
        if isinstance(data, Decimal) or (type(data) is int and 0 < data < 2**63):
            self.fail("wrong_type")
        if data == "":
            self.fail("blank")
        if not isinstance(data, str) or len(data) > self.max_length or not data.isascii():
            self.fail("invalid_choice")
        return data


class Instant(Direct, serializers.DateTimeField):
    """RFC 3339 with an offset."""

    def to_internal_value(self, data):
        if not isinstance(data, str):
            raise ValidationError(_("Write the time as 2026-11-22T09:41:07+05:00."), code="wrong_type")
        try:
            return read_instant(data)
        except Refused as refusal:
            raise ValidationError(refusal.message, code=refusal.code) from None


class Day(serializers.DateField):
    """A business date, such as 2026-11-22."""

    def to_internal_value(self, data):
        if not isinstance(data, str):
            raise ValidationError(_("Write the day as 2026-11-22."), code="wrong_type")
        try:
            return read_day(data)
        except Refused as refusal:
            raise ValidationError(refusal.message, code=refusal.code) from None


class Choice(Direct, serializers.ChoiceField):
    """One of a fixed list of words."""

    default_error_messages = {
        "wrong_type": _("Send a string."),
        "invalid_choice": _("Not one of the words that are allowed here."),
    }

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("wrong_type")
        if data not in self.choice_strings_to_values:
            self.fail("invalid_choice", input="")
        return self.choice_strings_to_values[data]


class Flag(Direct, serializers.BooleanField):
    """true or false, not a word or number for it."""

    default_error_messages = {"wrong_type": _("Send true or false.")}

    def to_internal_value(self, data):
        if not isinstance(data, bool):
            self.fail("wrong_type")
        return data


@extend_schema_field(
    {
        "oneOf": [
            {"type": "integer"},
            {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[!-~]+$"},
        ]
    }
)
class IdOrReference(Code):
    """The id of a document (a number), or its reference (a string)."""

    def to_internal_value(self, data):
        if isinstance(data, int) and not isinstance(data, bool):
            return data if 0 < data < 2**63 else 0
        return super().to_internal_value(data)
