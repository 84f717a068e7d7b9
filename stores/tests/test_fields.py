"""How form fields are written: what our own renderer writes is what Django's templates would."""

import datetime
from decimal import Decimal

import pytest
from django import forms
from django.forms.renderers import DjangoTemplates
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from stores import forms as ours
from stores.forms import Renderer, RowField, RowsField
from stores.models import Store
from stores.templatetags.head_office import counts_of, rail

ODD = "<b>\"آٹا\" & 'co'</b>"
ATTRIBUTES = [
    {},
    {
        "class": "input",
        "required": True,
        "disabled": False,
        "maxlength": 12,
        "data-x": ODD,
        "title": mark_safe("a&amp;b"),
    },
]
CHOICES = [
    ("", "---------"), ("a", gettext_lazy("Search")), (ODD, ODD), (7, mark_safe("<i>seven</i>")), (True, "yes"), (None, "none"),
    ("Group & co", [("g1", "one"), ("g2", ODD)]),
]  # fmt: skip
FIELDS = [
    *(
        (widget, value)
        for widget in (
            forms.TextInput, forms.NumberInput, forms.EmailInput, forms.HiddenInput, forms.PasswordInput, forms.CheckboxInput,
            forms.Textarea,
        )
        for value in (None, "", "12", ODD, Decimal("1234.50"), 0, True, False)
    ),
    (forms.DateInput, datetime.date(2026, 11, 22)),
    *((forms.Select, value) for value in (None, "", "a", ODD, 7, "g2", "unknown", True)),
    *(
        (widget, value)
        for widget in (forms.SelectMultiple, forms.CheckboxSelectMultiple)
        for value in (None, [], ["a", "g1"], [7, ODD])
    ),
    *((forms.RadioSelect, value) for value in (None, "a", ODD, 7, "g2")),
]  # fmt: skip


def made(widget):
    return widget(choices=CHOICES) if issubclass(widget, forms.widgets.ChoiceWidget) else widget(**(
        {"render_value": True} if widget is forms.PasswordInput else {}
    ))  # fmt: skip


@pytest.mark.parametrize("attributes", ATTRIBUTES)
@pytest.mark.parametrize(("widget", "value"), FIELDS)
def test_a_field_is_written_as_django_s_templates_write_it(widget, value, attributes):
    field = made(widget)
    field.attrs.update(attributes)
    written = [
        field.render("the<name", value, {"id": "id_1"}, renderer)
        for renderer in (Renderer(), DjangoTemplates())
    ]
    # Lines end where Django's templates happen to end.
    here, there = ("".join(line.strip() for line in text.splitlines()) for text in written)
    assert here == there


@pytest.mark.parametrize("attributes", ATTRIBUTES)
@pytest.mark.parametrize("widget", [forms.RadioSelect, forms.CheckboxSelectMultiple])
def test_one_choice_is_written_as_django_s_templates_write_it(widget, attributes):
    class Form(forms.Form):
        field = forms.MultipleChoiceField(choices=CHOICES, widget=widget(attributes))

    here, there = (
        [
            box.tag(wrap)
            for box in Form({"field": ["a", ODD]}, renderer=renderer)["field"]
            for wrap in (False, True)
        ]
        for renderer in (Renderer(), DjangoTemplates())
    )
    assert len(here) > 2
    assert here == there


def test_the_rows_that_a_form_offers_are_those_of_django_s_own_fields(
    store, other_store, django_assert_num_queries
):
    rows = Store.objects.order_by("code")

    class Form(forms.Form):
        ours = RowField(rows, empty_label="Any")
        theirs = forms.ModelChoiceField(rows, empty_label="Any")
        some = RowsField(rows)

    form = Form()
    assert list(form.fields["ours"].choices) == list(form.fields["theirs"].choices)
    assert [label for _value, label in form.fields["some"].choices] == [str(store), str(other_store)][::-1]
    with django_assert_num_queries(1):
        box = Form()["ours"]
        assert str(store) in str(box)
        assert len(box) == 3
    Store.objects.create(code="NEW-0001", name="New")
    assert len(Form()["ours"]) == 4


def test_the_simple_fields_need_no_template(monkeypatch):
    def render(self, template_name, context, request=None):
        raise AssertionError(template_name)

    monkeypatch.setattr(ours.DjangoTemplates, "render", render)
    for widget in {widget for widget, _value in FIELDS}:
        made(widget).render("name", None, {}, Renderer())
    with pytest.raises(AssertionError, match="splitdatetime"):
        forms.SplitDateTimeWidget().render("name", None, {}, Renderer())


class Labelled(forms.Form):
    word = forms.CharField(label=ODD)
    kind = forms.ChoiceField(widget=forms.RadioSelect, choices=CHOICES)


@pytest.mark.parametrize("data", [None, {"word": "", "kind": "unknown"}])
@pytest.mark.parametrize("name", ["word", "kind"])
@pytest.mark.parametrize("auto_id", ["id_%s", False])
def test_labels_and_errors_are_written_as_django_s_templates_write_them(data, name, auto_id):
    ways = [
        Labelled(data, renderer=renderer(), auto_id=auto_id)[name] for renderer in (Renderer, DjangoTemplates)
    ]
    for written in (
        lambda field: field.label_tag(),
        lambda field: field.label_tag(attrs={"class": ODD, "data-on": True}),
        lambda field: field.legend_tag("Own"),
        lambda field: str(field.errors),
        lambda field: field.errors.as_ul(),
    ):
        here, there = (written(field) for field in ways)
        assert here == there
        assert bool(data) or "error" not in here


@pytest.mark.parametrize("sent", [None, {"packs-TOTAL_FORMS": '1"><b>', "packs-INITIAL_FORMS": "0"}])
def test_the_counts_of_a_set_of_forms_are_written_as_django_writes_them(sent):
    rows = forms.formset_factory(forms.Form)(sent, prefix="packs")
    assert counts_of(rows) == "".join(str(field) for field in rows.management_form).replace("\n", "")


@pytest.mark.parametrize("path", ["/admin/", "/admin/a/", "/admin/a/1/change/"])
def test_the_rail_leads_to_every_list_and_marks_the_one_that_is_open(path):
    models = [
        {"name": "A & B", "admin_url": "/admin/a/"},
        {"name": "C", "admin_url": "/admin/c/"},
        {"name": "-", "admin_url": None},
    ]
    text = rail([{"app_label": "goods", "name": "<Goods>", "models": models}], path)
    current = {"/admin/": "", "/admin/a/": ' aria-current="page"'}.get(path, ' aria-current="true"')
    assert text == (
        '<p class="rail-title" id="rail-goods">&lt;Goods&gt;</p>\n<ul aria-labelledby="rail-goods">'
        f'<li><a class="rail-link" href="/admin/a/"{current}>A &amp; B</a></li>'
        '<li><a class="rail-link" href="/admin/c/">C</a></li></ul>\n'
    )
