"""Fields that understand what people type here, and the forms for signing in and for one's profile."""

import re
import unicodedata
from decimal import Decimal

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from stores.models import User

WESTERN = "0123456789"
# Digits that a keyboard here may give: Arabic, Urdu and full-width ones.
SCRIPTS = ["٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "０１２３４５６７８９"]
TO_WESTERN = str.maketrans("".join(SCRIPTS), WESTERN * len(SCRIPTS))
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u061c]")
INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\\s]+")


def western_digits(text: str) -> str:
    """`text` with Arabic, Urdu and full-width digits as 0-9; text that mixes two kinds of digits stays as it is."""
    kinds = sum(any(digit in text for digit in script) for script in [WESTERN, *SCRIPTS])
    return text.translate(TO_WESTERN) if kinds == 1 else text


def typed_number(text: str) -> str:
    """What was typed into a number box, in the form 12.5: other digits, the Arabic point and outer spaces understood.

    One comma is a decimal point (1,5) unless three digits follow it: 1,000 could be read in two ways and stays, to be refused.
    """
    text = western_digits(text.strip()).replace("٫", ".")
    if re.fullmatch(r"\d+,\d{1,2}", text, re.ASCII):
        text = text.replace(",", ".")
    return text


class NumberField(forms.Field):
    """A plain decimal number of rupees or goods; never rounded. Shows in 0-9 what was typed in other digits."""

    def __init__(self, *, decimals=3, whole=9, zero=False, **options):
        self.decimals, self.whole, self.zero = decimals, whole, zero
        mode = "decimal" if decimals else "numeric"
        widget = forms.TextInput(
            {
                "class": "input input-number",
                "inputmode": mode,
                "autocomplete": "off",
                "maxlength": 40,
                "dir": "ltr",
                "enterkeyhint": "done",
            }
        )
        super().__init__(widget=options.pop("widget", widget), **options)

    def bound_data(self, data, initial):
        return typed_number(data)[:40] if isinstance(data, str) else data

    def to_python(self, value):
        text = typed_number(value) if isinstance(value, str) else value
        if text in (None, ""):
            return None
        if "," in text:
            raise ValidationError(_("Write this number without commas."), code="not_a_number")
        found = re.fullmatch(r"(\d+)(?:\.(\d+))?", text, re.ASCII)
        if not found or len(text) > 40:
            message = (
                _("Must be above zero.")
                if re.fullmatch(r"[-−]\d+(\.\d+)?", text, re.ASCII)
                else _("Write a number, such as 12 or 1.250.")
            )
            raise ValidationError(message, code="not_a_number")
        if len(found[1].lstrip("0")) > self.whole:
            raise ValidationError(_("This number is too large."), code="out_of_range")
        if len((found[2] or "").rstrip("0")) > self.decimals:
            raise ValidationError(
                _("At most %(max)d decimals.") % {"max": self.decimals}
                if self.decimals
                else _("Whole numbers only."),
                code="too_many_decimals",
            )
        number = Decimal(text)
        if number == 0 and not self.zero:
            raise ValidationError(_("Must be above zero."), code="must_be_positive")
        return number


class QuantityField(NumberField):
    """Goods: at most 3 decimals."""


class MoneyField(NumberField):
    """Rupees: at most 2 decimals."""

    def __init__(self, **options):
        super().__init__(**{"decimals": 2, "whole": 10, "zero": True, **options})


class TextField(forms.CharField):
    """Words people write. Direction marks that no Urdu text needs are dropped; control characters are refused."""

    def __init__(self, *, lines=1, **options):
        widget = (forms.Textarea if lines > 1 else forms.TextInput)(
            {"class": "input", "dir": "auto", **({"rows": lines} if lines > 1 else {})}
        )
        super().__init__(**{"max_length": 500, "widget": widget, **options})
        self.lines = lines

    def to_python(self, value):
        text = BIDI.sub("", super().to_python(value).replace("\r\n", "\n"))
        allowed = "\n\t" if self.lines > 1 else ""
        if any(unicodedata.category(char) in ("Cc", "Cs", "Cn") and char not in allowed for char in text):
            raise ValidationError(
                _("This text holds characters that cannot be kept."), code="control_character"
            )
        return "" if not INVISIBLE.sub("", text) else text


def dressed(form):
    """Gives the fields of a form that Django brings the look of ours."""
    for field in form.fields.values():
        field.widget.attrs["class"] = "input"
        field.widget.attrs["dir"] = "auto"
    return form


class SignInForm(AuthenticationForm):
    """User name and password."""

    error_messages = {
        "invalid_login": gettext_lazy(
            "This user name and password do not fit together. Capital letters matter."
        ),
        "inactive": gettext_lazy("This account is switched off. Ask head office."),
    }

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.fields["username"].label = gettext_lazy("User name")
        dressed(self)
        # Names and passwords are written from left to right in every language.
        for name in self.fields:
            self.fields[name].widget.attrs["dir"] = "ltr"
        self.fields["username"].widget.attrs |= {"spellcheck": "false", "autocomplete": "username"}
        if self.is_bound:
            self.fields["username"].widget.attrs.pop("autofocus", None)


class LanguageForm(forms.ModelForm):
    """The language of all pages for one user."""

    class Meta:
        model = User
        fields = ["language"]
        widgets = {"language": forms.RadioSelect}


class PasswordForm(PasswordChangeForm):
    """A new password, after the present one."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        dressed(self)
        for field in self.fields.values():
            field.widget.attrs["dir"] = "ltr"
            field.widget.attrs.pop("autofocus", None)
