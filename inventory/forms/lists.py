"""Filters of lists: what stands in the address."""

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.models import Category, Product
from inventory.models import Kind, StockLevel
from stores.forms import RowField, TextField
from stores.models import Membership, Store, User
from stores.queries import one_of

FEW = 500  # products


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
    category = RowField(
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
    user = RowField(
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

    def narrowed(self, rows):
        """The movements among `rows` that fit; none while something cannot be understood."""
        if not self.is_valid():
            return rows.none()
        data = self.cleaned_data
        if data["kind"]:
            rows = rows.filter(kind=data["kind"])
        if data["product"]:
            rows = rows.filter(among("product", Product.objects.matching(data["product"])))
        if data["business_date_from"]:
            rows = rows.filter(business_date__gte=data["business_date_from"])
        if data["business_date_to"]:
            rows = rows.filter(business_date__lte=data["business_date_to"])
        if data["user"]:
            rows = rows.filter(document__user=data["user"])
        return rows


def among(column: str, products):
    """The condition that `column` leads to one of `products`. Of few the rows are found by their own index, once it is known
    that they are few."""
    few = list(products.order_by().values_list("pk", flat=True)[: FEW + 1])
    return one_of(few, column) if len(few) <= FEW else Q(**{f"{column}__in": products.values("pk")})
