"""Fields that understand what people type here, and the forms for signing in, for one's profile and for keys."""

import re
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.forms.models import ModelChoiceIterator
from django.forms.renderers import DjangoTemplates
from django.forms.utils import ErrorList
from django.utils import timezone
from django.utils.html import conditional_escape
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from stores.models import SECRET, ApiKey, Store, User, holds_secret

OPTIONS = {f"django/forms/widgets/{name}_option.html" for name in ("checkbox", "radio")}
WESTERN = "0123456789"
# Digits that a keyboard here may give: Arabic, Urdu and full-width ones.
SCRIPTS = ["٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "０１２３４５６７８９"]
TO_WESTERN = str.maketrans("".join(SCRIPTS), WESTERN * len(SCRIPTS))
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u061c]")
SPECIAL = re.compile("[&<>\"']")
INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\\s]+")


def escaped(value) -> str:
    """As Django escapes; most texts have nothing to escape, and looking first is far quicker."""
    text = str(value)
    return conditional_escape(value) if SPECIAL.search(text) else text


def attributes(values: dict) -> str:
    """As Django's attrs.html; the names are code's own."""
    return "".join(
        f" {name}" + ("" if value is True else f'="{escaped(value)}"')
        for name, value in values.items()
        if value is not False
    )


def element(widget: dict) -> str:
    value = "" if widget["value"] is None else f' value="{escaped(widget["value"])}"'
    start = f'<input type="{escaped(widget["type"])}" name="{escaped(widget["name"])}"'
    return f"{start}{value}{attributes(widget['attrs'])}>\n"


def area(widget: dict) -> str:
    name, text = escaped(widget["name"]), escaped(widget["value"] or "")
    return f'<textarea name="{name}"{attributes(widget["attrs"])}>\n{text}</textarea>\n'


def select(widget: dict) -> str:
    parts = [f'<select name="{escaped(widget["name"])}"{attributes(widget["attrs"])}>']
    for group, options, _place in widget["optgroups"]:
        if group:
            parts.append(f'\n  <optgroup label="{escaped(group)}">')
        for option in options:
            value, label = escaped(option["value"]), escaped(option["label"])
            parts.append(f'\n  <option value="{value}"{attributes(option["attrs"])}>{label}</option>\n')
        if group:
            parts.append("\n  </optgroup>")
    return "".join([*parts, "\n</select>\n"])


def boxes(widget: dict) -> str:
    """Boxes or buttons to choose from, each inside its label."""
    around = {name: widget["attrs"][name] for name in ("id", "class") if widget["attrs"].get(name)}
    parts = [f"<div{attributes(around)}>"]
    for group, options, _place in widget["optgroups"]:
        if group:
            parts.append(f"\n  <div><label>{escaped(group)}</label>")
        for option in options:
            own = f' for="{escaped(key)}"' if (key := option["attrs"].get("id")) else ""
            label = escaped(option["label"])
            parts.append(f"<div>\n    <label{own}>{element(option)} {label}</label>\n</div>")
        if group:
            parts.append("\n  </div>")
    return "".join([*parts, "\n</div>"])


# What draws which of Django's templates of one field.
DRAWN = {
    **dict.fromkeys(("checkbox", "date", "email", "hidden", "number", "password", "text"), element),
    **dict.fromkeys(("checkbox_select", "radio"), boxes),
    "select": select,
    "textarea": area,
}


NO_ERRORS = {ErrorList.template_name, ErrorList.template_name_ul}


class Renderer(DjangoTemplates):
    """Django's templates of form fields, and the simple ones of them in Python, to the same letter: a form of head office is some
    forty of them and its labels, which took up to a third of its page."""

    drawn = {f"django/forms/widgets/{name}.html": draw for name, draw in DRAWN.items()}

    def render(self, template_name, context, request=None):
        if draw := self.drawn.get(template_name):
            return draw(context["widget"])
        if template_name in OPTIONS and not context["widget"]["wrap_label"]:
            return element(context["widget"]).rstrip()
        if template_name == "django/forms/label.html" and context["use_tag"]:
            tag, attrs = context["tag"], attributes(context["attrs"] or {})
            return f"<{tag}{attrs}>{escaped(context['label'])}</{tag}>"
        # No errors, which is most of what is asked about errors.
        if template_name in NO_ERRORS and not context["errors"]:
            return ""
        return super().render(template_name, context, request)


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


class Choices(ModelChoiceIterator):
    """The rows that a form offers, asked for as any other few: Django would open a cursor on the server and go there four times."""

    def __iter__(self):
        if self.field.empty_label is not None:
            yield "", self.field.empty_label
        for row in self.queryset:
            yield self.choice(row)


class RowField(forms.ModelChoiceField):
    """One row of a few."""

    iterator = Choices


class RowsField(forms.ModelMultipleChoiceField):
    """Some rows of a few."""

    iterator = Choices


class TextField(forms.CharField):
    """Words people write. Direction marks that no Urdu text needs are dropped; control characters are refused."""

    def __init__(self, *, lines=1, **options):
        widget = (forms.Textarea if lines > 1 else forms.TextInput)(
            {"class": "input", "dir": "auto", **({"rows": lines} if lines > 1 else {})}
        )
        super().__init__(**{"max_length": 500, "widget": widget, **options})
        self.lines = lines

    def bound_data(self, data, initial):
        # What was refused for the key in it is shown again without that.
        return SECRET.sub(r"\1", data) if isinstance(data, str) else data

    def to_python(self, value):
        text = BIDI.sub("", super().to_python(value).replace("\r\n", "\n"))
        allowed = "\n\t" if self.lines > 1 else ""
        if any(unicodedata.category(char) in ("Cc", "Cs", "Cn") and char not in allowed for char in text):
            raise ValidationError(
                _("This text holds characters that cannot be kept."), code="control_character"
            )
        if holds_secret(text):
            raise ValidationError(
                _("A secret key stands in this text. It would be kept and seen by others: take it out."),
                code="secret_in_text",
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


# -- keys -------------------------------------------------------------------------------------------------------
# A key's secret is shown once: a second click, or the page sent again, must not make another key and cannot show the first.
SENT_FOR = 24 * 60 * 60


class SentBefore(ValidationError):
    """A form whose reference has made its key already."""


def claim(reference: uuid.UUID) -> None:
    """Lets a form's reference through once, across all processes; refuses it for a day after."""
    if not cache.add(f"key-form:{reference}", 1, timeout=SENT_FOR):
        raise SentBefore(
            _(
                "This form was sent before, and its key is made: see the list. Its secret cannot be shown again."
            ),
            code="sent_before",
        )


@contextmanager
def once(reference: uuid.UUID) -> Iterator[None]:
    """What is done inside is done once for `reference`; where it fails, the reference may be sent again."""
    claim(reference)
    try:
        yield
    except BaseException:
        cache.delete(f"key-form:{reference}")
        raise


class ReferenceForm(forms.Form):
    """A form whose hidden reference makes a double click one act."""

    reference = forms.UUIDField(
        widget=forms.HiddenInput,
        initial=uuid.uuid4,
        error_messages={
            "required": gettext_lazy("This form is torn: load the page again."),
            "invalid": gettext_lazy("This form is torn: load the page again."),
        },
    )

    def torn(self) -> list[str]:
        """What is wrong with the hidden field, to be told above the others."""
        return self.errors.get("reference", [])


class OwnKeyForm(ReferenceForm):
    """A key that an owner makes for some of his stores."""

    LIFE = {"30": timedelta(days=30), "90": timedelta(days=90), "365": timedelta(days=365), "": None}

    name = TextField(
        label=gettext_lazy("Name"),
        max_length=100,
        help_text=gettext_lazy("Who or what will use it, such as “Till 1” or the partner’s name."),
    )
    stores = RowsField(
        Store.objects.none(),
        label=gettext_lazy("Stores"),
        to_field_name="code",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose at least one store.")},
    )
    scopes = forms.MultipleChoiceField(
        label=pgettext_lazy("what a key may do", "May"),
        choices=[each for each in ApiKey.Scope.choices if each[0] not in ApiKey.HEAD_OFFICE_ONLY],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose at least one thing it may do.")},
    )
    life = forms.ChoiceField(
        label=gettext_lazy("Ends"),
        required=False,
        initial="365",
        widget=forms.RadioSelect,
        choices=[
            ("30", gettext_lazy("after 30 days")),
            ("90", gettext_lazy("after 90 days")),
            ("365", gettext_lazy("after a year")),
            ("", gettext_lazy("only when revoked")),
        ],
    )

    def __init__(self, *args, stores, **options):
        super().__init__(*args, **options)
        self.fields["stores"].queryset = stores
        if len(stores) == 1:
            self.fields["stores"].initial = list(stores)

    @property
    def expires_at(self):
        """When the key ends; None for never."""
        life = self.LIFE[self.cleaned_data["life"]]
        return timezone.now() + life if life else None


class RotateForm(ReferenceForm):
    """How long the old key goes on working beside its successor."""

    GRACE = {
        "0": timedelta(0),
        "3600": timedelta(hours=1),
        "86400": timedelta(days=1),
        "604800": timedelta(days=7),
    }

    grace = forms.ChoiceField(
        label=gettext_lazy("The old key works for"),
        initial="86400",
        widget=forms.RadioSelect,
        choices=[
            ("0", gettext_lazy("not a moment longer")),
            ("3600", gettext_lazy("one more hour")),
            ("86400", gettext_lazy("one more day")),
            ("604800", gettext_lazy("seven more days")),
        ],
    )

    @property
    def overlap(self) -> timedelta:
        return self.GRACE[self.cleaned_data["grace"]]


class RequestFilter(forms.Form):
    """The log of a key's requests, narrowed by how they ended and by their id."""

    ENDINGS = {"2xx": (200, 399), "4xx": (400, 499), "5xx": (500, 599)}

    status = forms.ChoiceField(
        required=False, choices=[("", ""), *((word, word) for word in ENDINGS)], widget=forms.HiddenInput
    )
    request_id = TextField(
        label=gettext_lazy("Request id"),
        required=False,
        max_length=64,
    )

    def __init__(self, data):
        super().__init__({name: data.get(name, "").replace("\0", "") for name in self.base_fields})
        self.fields["request_id"].widget.attrs |= {
            "dir": "ltr",
            "placeholder": _("Request id"),
            "autocomplete": "off",
            "spellcheck": "false",
        }
        self.fields["request_id"].widget.input_type = "search"

    def narrowed(self, rows):
        """`rows` that fit; none where the filter cannot be understood."""
        if not self.is_valid():
            return rows.none()
        if ending := self.cleaned_data["status"]:
            rows = rows.filter(status__range=self.ENDINGS[ending])
        if request_id := self.cleaned_data["request_id"]:
            rows = rows.filter(request_id=request_id)
        return rows
