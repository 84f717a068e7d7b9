"""The lines of a stock act. A line names its item by barcode, SKU or words; `Lines.resolve` finds out what is meant."""

from datetime import datetime
from decimal import Decimal
from functools import cache

from django import forms
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.models import Pack, Product
from catalog.queries import forms_of
from inventory.queries import Called, Item, items_called
from inventory.services import MAX_LINES, InsufficientStock, Line, Refused
from stores.forms import MoneyField, QuantityField, TextField
from stores.models import Store
from stores.templatetags.shop import bare, plain_quantity

ROWS = 5
MOST_CHOICES = 20
SELLABLE = [Product.Status.ACTIVE, Product.Status.DISCONTINUED]
WHOLE_STEPS = Decimal(1)


def bare_money(amount: Decimal) -> str:
    """An amount as a money box holds it."""
    return f"{amount:.0f}" if amount == amount.to_integral_value() else f"{amount:.2f}"


class LineForm(forms.Form):
    """One line of a stock act. Which of OPTIONAL it has, the act and the role say (`Lines.boxes`)."""

    OPTIONAL = ("direction", "pack", "amount", "price", "cost")

    class Direction:
        LESS, MORE = "less", "more"

    item = TextField(label=gettext_lazy("Item"), required=False, max_length=100)
    # The words for which `product` was chosen: other words ask anew.
    asked = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)
    product = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    direction = forms.ChoiceField(
        label=gettext_lazy("Change"), required=False, initial="less", widget=forms.Select({"class": "input"}),
        choices=[(Direction.LESS, gettext_lazy("− Less")), (Direction.MORE, gettext_lazy("+ More"))],
    )  # fmt: skip
    quantity = QuantityField(label=gettext_lazy("Quantity"), required=False)
    pack = forms.CharField(
        label=gettext_lazy("Counted in"),
        required=False,
        max_length=20,
        widget=forms.Select({"class": "input"}),
    )
    amount = MoneyField(label=gettext_lazy("or for Rs"), required=False, zero=False)
    price = MoneyField(label=gettext_lazy("Price Rs"), required=False)
    cost = MoneyField(label=gettext_lazy("Cost Rs"), required=False, decimals=4)

    def __init__(self, *args, lenient=False, **options):
        super().__init__(*args, **options)
        self.lenient, self.found, self.options, self.problem, self.short = lenient, None, [], "", ""
        attrs = {
            "autocapitalize": "off",
            "autocomplete": "off",
            "spellcheck": "false",
            "enterkeyhint": "next",
            "data-item": True,
        }
        self.fields["item"].widget.attrs |= attrs
        self.fields["quantity"].widget.attrs["data-quantity"] = True
        for name in ("amount", "price"):
            if name in self.fields:
                self.fields[name].widget.attrs[f"data-{name}"] = True
        if "pack" in self.fields:
            self.fields["pack"].widget.choices = [("", _("Unit")), ("pack", _("Pack"))]

    @property
    def text(self) -> str:
        """What was typed for the item, spaces trimmed."""
        return " ".join((self["item"].value() or "").split())

    @cached_property
    def is_blank(self) -> bool:
        return not any(
            str(self[name].value() or "").strip()
            for name in self.fields
            if name not in ("direction", "pack", "asked", "product")
        )

    def settle(self, found: Item) -> None:
        """Takes `found` as what this line means, and shows it: packs to choose from, the price that holds."""
        self.found = found
        if "price" in self.fields:
            self.fields["price"].widget.attrs["placeholder"] = bare_money(found.product.price)
        if "pack" in self.fields:
            unit = found.product.get_unit_display()
            self.fields["pack"].widget.choices = [
                ("unit", unit),
                *((str(pack.pk), pack.name) for pack in found.packs),
            ]
        if found.product.quantity_step % 1 == 0:
            self.fields["quantity"].widget.attrs["inputmode"] = "numeric"

    @property
    def line_total(self) -> Decimal | None:
        """Rupees of this line as it stands, for the eye; the service works it out itself."""
        if not self.found or not hasattr(self.found.product, "price") or self.errors:
            return None
        if amount := self.cleaned_data.get("amount"):
            return amount
        quantity = self.cleaned_data.get("quantity")
        if quantity is None:
            return None
        price = self.cleaned_data.get("price")
        price = self.found.product.price if price is None else price
        units = self.chosen_pack.units_per_pack if self.chosen_pack else 1
        return (quantity * units * price).quantize(Decimal("0.01"), "ROUND_HALF_UP")

    @property
    def chosen_pack(self) -> Pack | None:
        """The pack that the quantity counts, None for single units."""
        value = self.cleaned_data.get("pack", "") if "pack" in self.fields else ""
        if not value:
            return self.found.pack
        if value == "pack" and len(self.found.packs) == 1:
            return self.found.packs[0]
        return next((pack for pack in self.found.packs if str(pack.pk) == value), None)

    def clean(self):
        data = self.cleaned_data
        if self.is_blank:
            return
        if self.problem:
            self.add_error("item", ValidationError(self.problem, code="not_found"))
        if not self.text:
            self.add_error("item", ValidationError(_("Which item?"), code="required"))
        quantity, amount = data.get("quantity"), data.get("amount")
        if quantity is not None and amount is not None:
            self.add_error(
                "amount", ValidationError(_("Either a quantity or an amount, not both."), code="invalid")
            )
        if (
            quantity is None
            and amount is None
            and not self.lenient
            and not {"quantity", "amount"} & set(self.errors)
        ):
            self.add_error("quantity", ValidationError(_("How many?"), code="required"))
        if (
            self.found
            and data.get("pack") not in (None, "", "unit")
            and not self.chosen_pack
            and not self.lenient
        ):
            several = _("Choose which pack.") if len(self.found.packs) > 1 else _("This item has no pack.")
            self.add_error("pack", ValidationError(several, code="invalid_choice"))

    def as_line(self) -> Line:
        """What this line says, for the service."""
        data, product = self.cleaned_data, self.found.product
        quantity, amount = data.get("quantity"), data.get("amount")
        pack = self.chosen_pack if amount is None else None
        if data.get("direction") == self.Direction.LESS and quantity is not None:
            quantity = -quantity
        return Line(
            product=product,
            quantity=None if pack or amount is not None else quantity,
            pack=pack,
            pack_quantity=quantity if pack else None,
            amount=amount,
            unit_price=data.get("price"),
            unit_cost=data.get("cost"),
        )


@cache
def line_with(boxes: tuple[str, ...]) -> type[LineForm]:
    """`LineForm` with these of its OPTIONAL boxes; each line copies its fields, so those that it lacks are no part of it."""
    return type("LineForm", (LineForm,), dict.fromkeys(set(LineForm.OPTIONAL) - set(boxes)))


class BaseLines(forms.BaseFormSet):
    """The lines of a stock act."""

    def __init__(self, *args, store: Store, boxes=(), lenient=False, **options):
        self.store, self.boxes, self.form = store, boxes, line_with(tuple(boxes))
        super().__init__(*args, form_kwargs={"lenient": lenient}, **options)

    @property
    def filled(self) -> list[LineForm]:
        """The lines on which something was typed."""
        return [line for line in self.forms if not line.is_blank]

    def resolve(self, at: datetime | None = None) -> None:
        """Finds out what each line means, in a handful of queries however many lines there are.

        Words that no code, SKU or earlier choice answers cost two queries a line. A line for which several products fit
        gets `options`, one for which none fits a `problem`.
        """
        # A null character is refused by the field itself, and PostgreSQL cannot even be asked about one.
        lines = [line for line in self.filled if line.text and "\0" not in line.text]
        if not lines:
            return
        called = {line: self.names_of(line) for line in lines}
        known = items_called({name for names in called.values() for name, _kg in names}, self.store, at)
        asked = {}
        for line in lines:
            fit = (
                (name, kg)
                for name, kg in called[line]
                if name in known and (name.barcode or known[name].product.status in SELLABLE)
            )
            if found := next(fit, None):
                line.settle(known[found[0]]._replace(quantity=found[1]))
            elif sku := self.ask(line, at):
                asked[line] = Called(sku=sku)
        if asked:
            known = items_called(set(asked.values()), self.store, at)
            for line, name in asked.items():
                line.settle(known[name])

    def names_of(self, line: LineForm) -> list[tuple[Called, Decimal | None]]:
        """What the words of a line may name, the likeliest first: a barcode (a label with its kg), the choice, an SKU."""
        codes = [(Called(barcode=code), kg) for code, kg in forms_of(line.text)]
        return codes + [(Called(sku=sku), None) for sku in (self.chosen_sku(line), line.text.upper()) if sku]

    def chosen_sku(self, line: LineForm) -> str:
        """The SKU that was chosen for exactly these words."""
        same = " ".join((line["asked"].value() or "").split()) == line.text
        return (line["product"].value() or "").replace("\0", "").strip() if same else ""

    def ask(self, line: LineForm, at: datetime | None) -> str | None:
        """The SKU of the one product that fits; of several the reader chooses."""
        hits = Product.objects.filter(status__in=SELLABLE).matching(line.text).nearest_first(line.text)
        hits = list(hits.priced(self.store, at)[: MOST_CHOICES + 1])
        if len(hits) == 1:
            return hits[0].sku
        if hits:
            line.options = hits[:MOST_CHOICES]
            line.problem = _("Several items fit. Choose one.")
        else:
            line.problem = _("No item has this code or name.")
        return None

    def completed(self, blank: int = ROWS) -> dict:
        """What was typed, as data for a new formset: empty lines left out, what is known filled in, `blank` added.

        A piece that is sold without a quantity becomes 1; a weight label tells its own; a pack's code counts packs.
        """
        data, lines = {}, self.filled
        for number, line in enumerate(lines):
            values = {name: line[name].value() or "" for name in line.fields}
            if found := line.found:
                values |= {"product": found.product.sku, "asked": line.text}
                if not values["quantity"] and not values.get("amount"):
                    if found.quantity is not None:
                        values["quantity"] = bare(found.quantity, found.product)
                    elif found.product.quantity_step == WHOLE_STEPS and "amount" in self.boxes:
                        values["quantity"] = "1"
                if "pack" in line.fields:
                    pack = (
                        found.packs[0] if values["pack"] == "pack" and len(found.packs) == 1 else found.pack
                    )
                    if values["pack"] in ("", "pack"):
                        values["pack"] = str(pack.pk) if pack else "unit"
            data |= {f"{self.prefix}-{number}-{name}": value for name, value in values.items()}
        total = min(len(lines) + blank, MAX_LINES)
        return data | {f"{self.prefix}-TOTAL_FORMS": str(total), f"{self.prefix}-INITIAL_FORMS": "0"}

    def refuse(self, refusal: Refused) -> None:
        """Shows a refusal of the service on the lines it names."""
        boxes = {
            "unit_price": "price",
            "unit_cost": "cost",
            "line_total": "amount",
            "sku": "item",
            "product": "item",
        }
        lines = self.filled
        if isinstance(refusal, InsufficientStock):
            for index, product, on_hand, _wanted in refusal.short:
                told = {"on_hand": plain_quantity(on_hand, product.unit), "unit": product.get_unit_display()}
                lines[index].short = (
                    _("Only %(on_hand)s %(unit)s on record.") if on_hand > 0 else _("None left on record.")
                ) % told
        for index, name, message, code in getattr(refusal, "lines", ()):
            name = boxes.get(name, name)
            lines[index].add_error(
                name if name in lines[index].fields else "quantity", ValidationError(message, code=code)
            )


Lines = forms.formset_factory(
    LineForm, formset=BaseLines, extra=ROWS, max_num=MAX_LINES, absolute_max=MAX_LINES, validate_max=True
)
