"""Forms of the stock acts (sale, stock in, adjustment, return, void) and the filters of the lists.

A stock act has a head (`SaleForm` ...) and lines (`LineForm`s in a `Lines` formset). A line names its item by barcode,
SKU or words; `Lines.resolve` finds out what is meant, and asks back where several products fit.
"""

import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.models import Category, Pack, Product
from catalog.queries import scan_many
from inventory.models import Document, Kind, Movement, Reason, StockLevel
from inventory.services import BACKDATE, MAX_LINES, InsufficientStock, InvalidDocument, Line, Refused
from stores.forms import MoneyField, QuantityField, TextField, western_digits
from stores.models import Membership, Store, User
from stores.templatetags.shop import bare, plain_quantity

ROWS = 5
MOST_CHOICES = 20
SELLABLE = [Product.Status.ACTIVE, Product.Status.DISCONTINUED]
WHOLE_STEPS = Decimal(1)


@dataclass(slots=True)
class Found:
    """What one line stands for: its product with price, on hand and packs; perhaps what the scanned code told."""

    product: Product
    pack: Pack | None = None
    quantity: Decimal | None = None
    on_hand: Decimal = Decimal(0)
    packs: list[Pack] = field(default_factory=list)


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

    uses = (Reason.Use.ADJUSTMENT, Reason.Use.WASTAGE)
    reason = forms.ModelChoiceField(
        Reason.objects.none(), label=gettext_lazy("Reason"), empty_label=None, widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Choose a reason.")},
    )  # fmt: skip

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.fields["reason"].queryset = Reason.objects.filter(active=True, use__in=self.uses).order_by(
            "use", "pk"
        )


class AdjustmentForm(ReasonForm):
    """A correction or a loss; which of the two follows from the reason."""

    when = WhenField(label=gettext_lazy("When it happened"), required=False)

    @property
    def kind(self) -> str:
        return Kind.WASTAGE if self.cleaned_data["reason"].use == Reason.Use.WASTAGE else Kind.ADJUSTMENT


class VoidForm(ReasonForm):
    """Why a document is voided."""

    uses = (Reason.Use.REVERSAL,)


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
        is_wastage = self.kind == Kind.WASTAGE
        if how == self.How.COUNTED:
            if first := self.was_posted():
                # Sent twice: the count was posted, so there is no difference left to compute. Ask for what was posted.
                [movement] = first.movements.filter(store=self.store)[:1]
                change = (
                    movement.quantity
                    if movement.balance_after == quantity
                    else quantity - movement.balance_after + movement.quantity
                )
                self.cleaned_data["change"] = abs(change) if is_wastage else change
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
        if is_wastage and change > 0:
            self.add_error(
                "reason",
                ValidationError(
                    _("“%(reason)s” takes goods away. Choose another reason for more.") % {"reason": reason},
                    code="invalid",
                ),
            )
        self.cleaned_data["change"] = abs(change) if is_wastage else change

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


class LineForm(forms.Form):
    """One line of a stock act. Which boxes it has, the act and the role say (`Lines.boxes`)."""

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

    def __init__(self, *args, boxes=(), lenient=False, **options):
        super().__init__(*args, **options)
        self.lenient, self.found, self.options, self.problem, self.short = lenient, None, [], "", ""
        for name in ("direction", "pack", "amount", "price", "cost"):
            if name not in boxes:
                del self.fields[name]
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

    @property
    def is_blank(self) -> bool:
        return not any(
            str(self[name].value() or "").strip()
            for name in self.fields
            if name not in ("direction", "pack", "asked", "product")
        )

    def settle(self, found: Found) -> None:
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


def bare_money(amount: Decimal) -> str:
    """An amount as a money box holds it."""
    return f"{amount:.0f}" if amount == amount.to_integral_value() else f"{amount:.2f}"


class BaseLines(forms.BaseFormSet):
    """The lines of a stock act."""

    def __init__(self, *args, store: Store, boxes=(), lenient=False, **options):
        self.store, self.boxes = store, boxes
        super().__init__(*args, form_kwargs={"boxes": boxes, "lenient": lenient}, **options)

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
        scans = scan_many({line.text for line in lines}, self.store, at)
        wanted = {line: self.chosen_sku(line) for line in lines if line.text not in scans}
        skus = {sku for sku in wanted.values() if sku} | {line.text.upper() for line in wanted}
        rows = (
            Product.objects.filter(sku__in=skus, status__in=SELLABLE).priced(self.store, at) if skus else []
        )
        by_sku = {product.sku: product for product in rows}
        for line in lines:
            if known := scans.get(line.text):
                line.settle(Found(known.product, known.pack, known.quantity))
            elif product := by_sku.get(wanted[line] or "") or by_sku.get(line.text.upper()):
                line.settle(Found(product))
            else:
                self.ask(line, at)
        self.tell_stock([line for line in lines if line.found])

    def chosen_sku(self, line: LineForm) -> str:
        """The SKU that was chosen for exactly these words."""
        same = " ".join((line["asked"].value() or "").split()) == line.text
        return (line["product"].value() or "").replace("\0", "").strip() if same else ""

    def ask(self, line: LineForm, at: datetime | None) -> None:
        """One product that fits is taken; of several the reader chooses."""
        hits = Product.objects.filter(status__in=SELLABLE).matching(line.text).priced(self.store, at)
        hits = list(hits.order_by("name", "pk")[: MOST_CHOICES + 1])
        if len(hits) == 1:
            line.settle(Found(hits[0]))
        elif hits:
            line.options = hits[:MOST_CHOICES]
            line.problem = _("Several items fit. Choose one.")
        else:
            line.problem = _("No item has this code or name.")

    def tell_stock(self, lines: list[LineForm]) -> None:
        """Adds what is on hand and the packs to the products that were found."""
        products = {line.found.product.pk for line in lines}
        if not products:
            return
        levels = StockLevel.objects.for_store(self.store).filter(product__in=products)
        on_hand = dict(levels.values_list("product", "on_hand"))
        packs = {}
        for pack in Pack.objects.filter(product__in=products).order_by("units_per_pack", "pk"):
            packs.setdefault(pack.product_id, []).append(pack)
        for line in lines:
            found = line.found
            found.on_hand = on_hand.get(found.product.pk, Decimal(0))
            found.packs = packs.get(found.product.pk, [])
            line.settle(found)

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


# -- Filters of lists: what stands in the address ---------------------------------------------------------------


class FilterForm(forms.Form):
    """A list's filter, read from the address. What cannot be understood is told and filters everything out."""

    def __init__(self, data, **options):
        super().__init__({name: data.get(name, "") for name in data}, **options)
        for field_ in self.fields.values():
            field_.required = False

    @property
    def is_narrowed(self) -> bool:
        return any(self[name].value() for name in self.fields)


class SearchForm(FilterForm):
    """Words or a code, and a category."""

    search = TextField(label=gettext_lazy("Search"), max_length=100)
    category = forms.ModelChoiceField(
        Category.objects.none(),
        label=gettext_lazy("Category"),
        empty_label=gettext_lazy("All categories"),
        widget=forms.Select({"class": "input"}),
    )

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.fields["category"].queryset = Category.objects.order_by("name")
        self.fields["search"].widget.input_type = "search"
        self.fields["search"].widget.attrs |= {
            "placeholder": _("Name, code or barcode"),
            "enterkeyhint": "search",
        }


class LevelFilter(SearchForm):
    """Levels by state, words and category."""

    state = forms.ChoiceField(choices=[("", ""), *StockLevel.State.choices], widget=forms.HiddenInput)


class MovementFilter(FilterForm):
    """Movements by kind, product, business dates and person."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=[("", gettext_lazy("All kinds")), *Kind.choices],
        widget=forms.Select({"class": "input"}),
    )
    product = TextField(label=gettext_lazy("Item"), max_length=100)
    business_date_from = forms.DateField(
        label=gettext_lazy("From"),
        widget=forms.DateInput({"class": "input", "type": "date"}, format="%Y-%m-%d"),
    )
    business_date_to = forms.DateField(
        label=gettext_lazy("To"),
        widget=forms.DateInput({"class": "input", "type": "date"}, format="%Y-%m-%d"),
    )
    user = forms.ModelChoiceField(
        User.objects.none(), label=gettext_lazy("Who"), empty_label=gettext_lazy("Everybody"), widget=forms.Select({"class": "input"}),
        to_field_name="username",
    )  # fmt: skip

    def __init__(self, *args, store: Store, **options):
        super().__init__(*args, **options)
        people = Membership.objects.filter(store=store).values("user")
        self.fields["user"].queryset = User.objects.filter(pk__in=people).order_by("first_name", "username")
        self.fields["user"].label_from_instance = lambda user: user.get_full_name() or user.get_username()
        self.fields["product"].widget.input_type = "search"
        self.fields["product"].widget.attrs |= {
            "placeholder": _("Item: name, code or barcode"),
            "enterkeyhint": "search",
        }

    @property
    def has_more(self) -> bool:
        """Whether anything but the item narrows the list."""
        return any(self[name].value() for name in self.fields if name != "product")

    def clean(self):
        start, end = self.cleaned_data.get("business_date_from"), self.cleaned_data.get("business_date_to")
        if start and end and start > end:
            self.add_error(
                "business_date_to", ValidationError(_("This day is before the first one."), code="invalid")
            )
