"""What a reader of reports may choose: days, a category, an order, a state."""

from datetime import timedelta

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.models import Category
from reports.queries import SHORT, InvalidPeriod, check_period
from stores.forms import western_digits

DEFAULT_DAYS = 14
LIMITS = (10, 20, 50, 100)


class Select(forms.Select):
    """A drop-down of the house."""

    def __init__(self):
        super().__init__({"class": "input"})


class DayField(forms.DateField):
    """One day, as date boxes send it: 2026-11-22, in digits of any script."""

    default_error_messages = {"invalid": gettext_lazy("Write a day such as 2026-11-22.")}

    def __init__(self, **options):
        widget = forms.DateInput({"class": "input", "type": "date"}, format="%Y-%m-%d")
        super().__init__(input_formats=["%Y-%m-%d"], widget=widget, **options)

    def bound_data(self, data, initial):
        return western_digits(data.strip()) if isinstance(data, str) else data

    def to_python(self, value):
        return super().to_python(self.bound_data(value, None))


class FilterForm(forms.Form):
    """A form that lives in the address: what is not given there takes its default. Asks once, for the categories."""

    use_required_attribute = False

    def __init__(self, given, defaults: dict | None = None):
        given = {name: given.get(name, "").strip() for name in given}
        super().__init__({**(defaults or {}), **{name: value for name, value in given.items() if value}})
        self.categories = {str(one.pk): one for one in sorted(Category.objects.all(), key=str)}
        self.fields["category"] = forms.ChoiceField(
            label=_("Category"),
            required=False,
            choices=[("", _("All categories")), *((pk, str(one)) for pk, one in self.categories.items())],
            widget=Select(),
            error_messages={"invalid_choice": _("This category does not exist.")},
        )

    def clean_category(self):
        """The category itself, or None for all."""
        return self.categories.get(self.cleaned_data["category"])


class PeriodForm(FilterForm):
    """From one business date to another, both included; the last 14 days unless somebody says otherwise."""

    def __init__(self, given, today, defaults: dict | None = None):
        start = (today - timedelta(days=DEFAULT_DAYS - 1)).isoformat()
        super().__init__(given, {"from": start, "to": today.isoformat(), **(defaults or {})})
        category = self.fields.pop("category")
        self.fields |= {
            "from": DayField(label=_("From")),
            "to": DayField(label=_("To")),
            "category": category,
        }

    def clean(self):
        start, end = self.cleaned_data.get("from"), self.cleaned_data.get("to")
        if start and end:
            try:
                check_period(start, end)
            except InvalidPeriod as refusal:
                self.add_error(refusal.field, refusal)


class TopForm(PeriodForm):
    """A period, and how the best sellers are told."""

    def __init__(self, given, today):
        super().__init__(given, today, {"by": "revenue", "limit": "20"})
        self.fields["by"] = forms.ChoiceField(
            label=_("Ordered by"),
            choices=[("revenue", _("Revenue")), ("units", _("Quantity"))],
            widget=Select(),
        )
        self.fields["limit"] = forms.TypedChoiceField(
            label=_("How many"),
            choices=[(str(n), _("Best %(n)d") % {"n": n}) for n in LIMITS],
            coerce=int,
            widget=Select(),
        )


class ShortForm(FilterForm):
    """Which of the items that lack stock."""

    def __init__(self, given):
        super().__init__(given)
        choices = [("", _("All")), *((state.value, state.label) for state in SHORT)]
        self.fields["state"] = forms.ChoiceField(required=False, choices=choices, widget=forms.HiddenInput())
