"""The fields of head office's forms and the rows of other tables on them. They ask nothing of who reads the page, so that a form's
class is made once for all: made anew for each page it was a good part of its work."""

from collections.abc import Callable
from copy import deepcopy
from functools import cached_property, partial

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.db import models
from django.forms.models import BaseInlineFormSet
from django.utils.functional import Promise
from django.utils.translation import get_language

# Classes of forms, by all that tells one from another; a few for each table and language.
CLASSES: dict[tuple, type] = {}


class LocalDateTime(forms.DateTimeInput):
    """The browser's own field for date and time."""

    input_type = "datetime-local"

    def __init__(self, attrs=None):
        super().__init__(attrs, format="%Y-%m-%dT%H:%M")


class LocalDate(forms.DateInput):
    input_type = "date"

    def __init__(self, attrs=None):
        super().__init__(attrs, format="%Y-%m-%d")


class Amount(forms.TextInput):
    """A number as text: phones show digits, and nothing is rounded on the way."""

    def __init__(self, attrs=None):
        super().__init__(
            {
                "inputmode": "decimal",
                "autocomplete": "off",
                "dir": "ltr",
                "class": "vDecimalField",
                **(attrs or {}),
            }
        )


NATIVE = {
    models.DateTimeField: {"form_class": forms.DateTimeField, "widget": LocalDateTime},
    models.DateField: {"form_class": forms.DateField, "widget": LocalDate},
    models.DecimalField: {"widget": Amount},
}


def is_key(text) -> bool:
    """Whether `text` can be the id of a row."""
    text = str(text)
    return text.isascii() and text.isdigit() and len(text) <= 18


class Suggested(AutocompleteSelect):
    """One object, found by typing. What the form has loaded is not asked for again only to be named."""

    loaded = ()

    def optgroups(self, name, value, attrs=None):
        keys = {str(key) for key in value if is_key(key)}
        chosen = [row for row in self.loaded if str(row.pk) in keys]
        if len(chosen) < len(keys):
            chosen = self.choices.queryset.filter(pk__in=keys)
        none = [] if self.is_required or self.allow_multiple_selected else [("", "")]
        named = [*none, *((row.pk, self.choices.field.label_from_instance(row)) for row in chosen)]
        options = [
            self.create_option(name, key, label, key != "", place) for place, (key, label) in enumerate(named)
        ]
        return [(None, options, 0)]


class SuggestedMany(Suggested, AutocompleteSelectMultiple):
    """Several objects, found by typing."""


def introduce(form) -> None:
    """Tells the fields of `form` that are filled by typing what of their objects is loaded."""
    for name, field in form.fields.items():
        if not isinstance(field.widget, Suggested):
            continue
        relation, given = form.instance._meta.get_field(name), form.initial.get(name)
        if isinstance(given, list):
            field.widget.loaded = [row for row in given if isinstance(row, models.Model)]
        elif not relation.many_to_many and relation.is_cached(form.instance):
            field.widget.loaded = [row for row in [getattr(form.instance, name)] if row]


def made_once(make: Callable[..., type], *told: object) -> type:
    """What `make` makes, made once for each `told`, which has to name all that the class depends on besides the language. Its
    labels and words to choose from are looked up in that language here, and not again for each page."""
    key = (get_language(), *told)
    if key not in CLASSES:
        made = make()
        fields = getattr(made, "form", made).base_fields
        for name, declared in fields.items():
            # A copy: what a form declares itself is shared by all classes made of it.
            field = fields[name] = deepcopy(declared)
            field.label, field.help_text = field.label and str(field.label), str(field.help_text)
            if isinstance(field, forms.ChoiceField) and not isinstance(field, forms.ModelChoiceField):
                field.choices = [
                    (value, str(words) if isinstance(words, Promise) else words)
                    for value, words in field.choices
                ]
        CLASSES[key] = made
    return CLASSES[key]


class Fields:
    """How a page of the admin makes its fields: the same ones for everybody, without Django's small links beside a choice."""

    formfield_overrides = NATIVE

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if isinstance(db_field, models.ForeignKey):
            return self.formfield_for_foreignkey(db_field, request, **kwargs)
        if isinstance(db_field, models.ManyToManyField):
            return self.formfield_for_manytomany(db_field, request, **kwargs)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        if db_field.name in self.autocomplete_fields:
            kwargs.setdefault("widget", Suggested(db_field, self.admin_site))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        if db_field.name in self.autocomplete_fields:
            kwargs.setdefault("widget", SuggestedMany(db_field, self.admin_site))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def made_by_nobody(self) -> dict:
        """What a class of forms is made with so that it keeps no request."""
        return {"formfield_callback": partial(self.formfield_for_dbfield, request=None)}


class Rows(BaseInlineFormSet):
    """Rows of another table on an object's page."""

    @cached_property
    def empty_form(self):
        """What a new row is copied from: asked for several times, made once."""
        return super().empty_form

    def add_fields(self, form, index):
        super().add_fields(form, index)
        introduce(form)


class RowsInline(Fields, admin.TabularInline):
    """The way rows of another table stand on an object's page."""

    formset = Rows
    extra = 0
    template = "admin/rows.html"

    def get_formset(self, request, obj=None, **kwargs):
        may = (self.has_add_permission, self.has_change_permission, self.has_delete_permission)
        return made_once(
            lambda: super(RowsInline, self).get_formset(request, obj, **self.made_by_nobody(), **kwargs),
            type(self),
            self.parent_model,
            *(bool(asked(request, obj)) for asked in may),
            *self.get_readonly_fields(request, obj),
            *kwargs.items(),
        )
