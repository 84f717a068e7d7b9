"""Heads of the stock acts: sale, stock in, adjustment, return, void."""

import re
import uuid
from datetime import datetime
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.models import Document, Movement, Reason
from inventory.services import BACKDATE, Refused
from stores.forms import QuantityField, RowField, TextField, western_digits
from stores.models import Store
from stores.templatetags.shop import plain_quantity


class WhenField(forms.Field):
    """Date and time as the store's clock showed it; becomes an instant."""

    def __init__(self, **options):
        super().__init__(
            widget=forms.TextInput({"class": "input", "type": "datetime-local", "dir": "ltr"}), **options
        )
        self.zone = ZoneInfo("Asia/Karachi")

    def to_python(self, value):
        text = western_digits((value or "").strip())
        if not text:
            return None
        if not re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", text, re.ASCII):
            raise ValidationError(_("Write date and time like 2026-11-22 15:05."), code="invalid")
        try:
            instant = datetime.fromisoformat(text).replace(tzinfo=self.zone)
            if instant.astimezone(ZoneInfo("UTC")).astimezone(self.zone).replace(
                tzinfo=None
            ) != instant.replace(tzinfo=None):
                raise ValidationError(_("The clock skipped this time that day."), code="invalid")
            return instant
        except (ValueError, OverflowError):
            raise ValidationError(_("There is no such date."), code="invalid") from None


class ActForm(forms.Form):
    """The head of every stock act. `reference` makes a double press, or Back and again, one document."""

    reference = forms.CharField(max_length=100, required=False, widget=forms.HiddenInput)
    notes = TextField(label=gettext_lazy("Note"), required=False, lines=2)

    def __init__(self, data=None, *, store: Store, **options):
        super().__init__(data, **options)
        self.store = store
        if not self.is_bound:
            self.initial.setdefault("reference", str(uuid.uuid4()))
        if "when" in self.fields:
            self.fields["when"].zone = zone = ZoneInfo(store.timezone)
            now = timezone.now().astimezone(zone)
            oldest = now - BACKDATE[store.role]
            self.fields["when"].widget.attrs |= {
                "min": f"{oldest:%Y-%m-%dT%H:%M}",
                "max": f"{now:%Y-%m-%dT%H:%M}",
            }

    def clean_reference(self):
        return self.cleaned_data["reference"] or None

    def was_posted(self) -> Document | None:
        """The document that this very form made before, if any."""
        reference = self.cleaned_data.get("reference")
        return (
            Document.objects.for_store(self.store).filter(reference=reference).first() if reference else None
        )

    def refuse(self, refusal: Refused) -> None:
        """Shows a refusal of the service on the field it is about, or over the form."""
        name = {"occurred_at": "when", "notes": "notes", "reason": "reason"}.get(
            getattr(refusal, "field", None) or ""
        )
        self.add_error(name if name in self.fields else None, refusal)


class SaleForm(ActForm):
    """A sale, now or some time ago."""

    when = WhenField(label=gettext_lazy("When it happened"), required=False)


class ReceiptForm(SaleForm):
    """Goods that came in."""


class ReasonForm(ActForm):
    """Something that needs a coded reason. `uses` says which reasons are offered."""

    uses = Reason.MANUAL
    reason = RowField(
        Reason.objects.none(), label=gettext_lazy("Reason"), empty_label=None, widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Choose a reason.")},
    )  # fmt: skip

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.fields["reason"].queryset = Reason.objects.filter(active=True, use__in=self.uses).order_by(
            "use", "pk"
        )


class AdjustmentForm(ReasonForm):
    """A correction, a loss, or goods that left in another way; which of these follows from the reason."""

    when = WhenField(label=gettext_lazy("When it happened"), required=False)


class VoidForm(ReasonForm):
    """Why a document is voided."""

    uses = (Reason.Use.REVERSAL,)


class ReturnForm(ActForm):
    """Which lines of a sale come back, and how much of each."""

    def __init__(self, *args, sold: list[Movement], **options):
        super().__init__(*args, **options)
        self.sold = sold
        for movement in sold:
            box = QuantityField(label=movement.product.label, required=False, zero=True)
            if movement.product.quantity_step % 1 == 0:
                box.widget.attrs["inputmode"] = "numeric"
            self.fields[f"line-{movement.line_no}"] = box

    def rows(self) -> list[tuple[Movement, forms.BoundField]]:
        """The sold lines with their boxes."""
        return [(movement, self[f"line-{movement.line_no}"]) for movement in self.sold]

    def clean(self):
        back = []
        # Sent twice, what is asked for has come back already: then the service gives the first answer again.
        repeated = self.was_posted()
        for movement in self.sold:
            name = f"line-{movement.line_no}"
            quantity = self.cleaned_data.get(name)
            if quantity and quantity > movement.returnable and not repeated:
                left = plain_quantity(movement.returnable, movement.product.unit)
                self.add_error(
                    name,
                    ValidationError(
                        _("At most %(left)s can come back.") % {"left": left}, code="returned_more_than_sold"
                    ),
                )
            elif quantity:
                back.append((movement, quantity))
        if not back and not self.errors:
            raise ValidationError(_("Write how many come back, at one line or more."), code="empty")
        self.cleaned_data["back"] = back

    def refuse(self, refusal: Refused) -> None:
        wrong = getattr(refusal, "lines", ())
        for index, _name, message, code in wrong:
            movement = self.cleaned_data["back"][index][0]
            self.add_error(f"line-{movement.line_no}", ValidationError(message, code=code))
        if not wrong:
            super().refuse(refusal)
