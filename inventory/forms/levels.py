"""Forms on the page of one item: its stock corrected, and when to warn."""

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.forms.acts import AdjustmentForm
from inventory.models import StockLevel
from inventory.services import InsufficientStock, InvalidDocument, Refused
from stores.forms import QuantityField
from stores.templatetags.shop import plain_quantity


class LevelForm(AdjustmentForm):
    """One item's stock corrected on its own page: counted anew, or so much less or more."""

    class How:
        COUNTED, LESS, MORE = "counted", "less", "more"

    how = forms.ChoiceField(
        label=gettext_lazy("What changed?"), widget=forms.RadioSelect, initial=How.COUNTED,
        choices=[
            (How.COUNTED, gettext_lazy("There are now")), (How.LESS, gettext_lazy("Less by")), (How.MORE, gettext_lazy("More by")),
        ],
    )  # fmt: skip
    quantity = QuantityField(
        label=gettext_lazy("How many"), zero=True, error_messages={"required": gettext_lazy("How many?")}
    )
    # The number of movements when the page was shown: a count means the shelf at that moment.
    seen = forms.IntegerField(min_value=0, max_value=2**62, widget=forms.HiddenInput)
    when = None

    def __init__(self, *args, level: StockLevel, **options):
        super().__init__(*args, **options)
        self.level = level
        self.initial.setdefault("seen", level.seq)

    def clean(self):
        how, quantity, reason = (self.cleaned_data.get(name) for name in ("how", "quantity", "reason"))
        if how is None or quantity is None or reason is None:
            return
        if how == self.How.COUNTED:
            if first := self.was_posted():
                # Sent twice: the count was posted, so there is no difference left to compute. Ask for what was posted.
                [movement] = first.movements.filter(store=self.store)[:1]
                change = (
                    movement.quantity
                    if movement.balance_after == quantity
                    else quantity - movement.balance_after + movement.quantity
                )
                self.cleaned_data["change"] = abs(change) if reason.takes_away else change
                return
            if self.cleaned_data.get("seen") != self.level.seq:
                # What was seen is stale; the form comes back with the number that holds now.
                self.data = {**self.data.dict(), "seen": self.level.seq}
                on_hand = f"{plain_quantity(self.level.on_hand, self.level.product.unit)} {self.level.product.get_unit_display()}"
                self.add_error(
                    "quantity",
                    ValidationError(
                        _(
                            "Something was sold or came in meanwhile: there should be %(on_hand)s now. Look again and save."
                        )
                        % {"on_hand": on_hand},
                        code="quantity_changed",
                    ),
                )
                return
            change = quantity - self.level.on_hand
            if change == 0:
                self.add_error(
                    "quantity",
                    ValidationError(
                        _("That is what is on record: nothing to change."), code="must_not_be_zero"
                    ),
                )
        else:
            change = quantity if how == self.How.MORE else -quantity
            if change == 0:
                self.add_error("quantity", ValidationError(_("Must be above zero."), code="must_be_positive"))
        if reason.takes_away and change > 0:
            self.add_error(
                "reason",
                ValidationError(
                    _("“%(reason)s” takes goods away. Choose another reason for more.") % {"reason": reason},
                    code="invalid",
                ),
            )
        self.cleaned_data["change"] = abs(change) if reason.takes_away else change

    def refuse(self, refusal: Refused) -> None:
        if isinstance(refusal, InvalidDocument) and refusal.lines:
            self.add_error("quantity", ValidationError(refusal.lines[0][2], code=refusal.lines[0][3]))
        elif isinstance(refusal, InsufficientStock):
            self.add_error("quantity", refusal)
        else:
            super().refuse(refusal)


class ReorderForm(forms.Form):
    """When to warn, and how far to refill."""

    reorder_point = QuantityField(
        label=gettext_lazy("Warn at"),
        zero=True,
        help_text=gettext_lazy("Low from here down. 0: only when out."),
    )
    target_level = QuantityField(label=gettext_lazy("Refill to"), required=False, zero=True)

    def clean(self):
        point, target = self.cleaned_data.get("reorder_point"), self.cleaned_data.get("target_level")
        if point is not None and target is not None and target < point:
            self.add_error(
                "target_level",
                ValidationError(_("Refill to at least the number that warns."), code="invalid"),
            )
