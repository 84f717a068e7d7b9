"""Filters of the catalogue's lists."""

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from catalog.models import Category, Product
from catalog.queries import clean_code
from stores.filters import InstantFilter

MOST_WORDS = 8


def read_category(text: str) -> Category:
    """The category with this name (in English, capital letters or not) or this id; refuses any other."""
    if text.isascii() and text.isdigit() and len(text) <= 18:
        found = Category.objects.filter(pk=int(text)).first()
    else:
        found = Category.objects.filter(name__iexact=text).first() if len(text) <= 100 else None
    if found is None:
        raise ValidationError(_("There is no such category."), code="invalid_choice")
    return found


def with_children(category: Category) -> set[int]:
    """The ids of `category` and of all that nest in it. One query: a chain has some dozens of categories."""
    parents = dict(Category.objects.values_list("pk", "parent"))
    found, waiting = set(), [category.pk]
    while waiting:
        found.add(pk := waiting.pop())
        waiting += [child for child, parent in parents.items() if parent == pk and child not in found]
    return found


def check_search(text: str) -> None:
    """Refuses a search of more words than are looked for."""
    if len(text.split()) > MOST_WORDS:
        raise ValidationError(
            _("Search for at most %(most)d words."), code="too_long", params={"most": MOST_WORDS}
        )


class CategoryField(forms.CharField):
    def to_python(self, value):
        text = super().to_python(value)
        return read_category(text) if text else None


class CategoryFilter(django_filters.CharFilter):
    """Goods of a category, by name or id, and of those that nest in it."""

    field_class = CategoryField

    def filter(self, queryset, category):
        return (
            queryset.filter(**{f"{self.field_name}__in": with_children(category)}) if category else queryset
        )


class ProductFilter(django_filters.FilterSet):
    search = django_filters.CharFilter(
        method="find", max_length=100, validators=[check_search], label=_("words in any script, or a barcode")
    )
    category = CategoryFilter(label=_("name or id"))
    barcode = django_filters.CharFilter(method="scanned", max_length=64, label=_("exactly this barcode"))
    status = django_filters.ChoiceFilter(choices=Product.Status.choices)
    updated_since = InstantFilter(field_name="updated_at", lookup_expr="gte", label=_("changed at or after"))

    class Meta:
        model = Product
        fields = []

    def find(self, queryset, name, value: str):
        return queryset.matching(value)

    def scanned(self, queryset, name, value: str):
        return queryset.filter(barcodes__code__in={value, clean_code(value)}).distinct()
