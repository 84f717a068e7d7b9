"""What the templates of the head office need. `{% load head_office %}`."""

from collections.abc import Callable

from django import template
from django.contrib.admin.templatetags.admin_list import result_headers
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import display_for_field, display_for_value
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from stores.forms import attributes, escaped
from stores.templatetags.shop import html

register = template.Library()


@register.inclusion_tag("admin/change_list_results.html")
def sheet(cl) -> dict:
    """The table of a list. Like Django's own `result_list`, but what is the same in all rows is worked out once: that one
    takes half the time of a page. A cell also has its column's title for the phone, where a row is a card."""
    headers = list(result_headers(cl))
    columns = [column(cl, *named) for named in zip(cl.list_display, headers, strict=True)]
    address = opener(cl)
    return {
        "headers": headers,
        "rows": [
            mark_safe("".join(cell(row, address) for cell in columns))  # noqa: S308  each escaped
            for row in cl.result_list
        ],
    }


def column(cl, name: str, header: dict) -> Callable[..., str]:
    """What makes the cell of the column `name` for a row, given also what makes the link to the row's page."""
    shown, css = shown_by(cl, name)
    links = name in (cl.list_display_links or ())
    if name == cl.list_display[0]:
        css += " sheet-main"
    tag = "th" if links else "td"
    begin = format_html(
        '<{} role="cell" class="{}" data-label="{}">', tag, css, str(capfirst(header["text"]))
    )

    def cell(row, address):
        text = escaped(shown(row))
        return f"{begin}<a {address(row)}>{text}</a></{tag}>" if links else f"{begin}{text}</{tag}>"

    return cell


def shown_by(cl, name: str) -> tuple[Callable, str]:
    """(what gives the text of the column `name` for a row, css classes of its cells); a field, or a method of the admin."""
    css, empty = f"field-{name}", cl.model_admin.get_empty_value_display()
    try:
        field = cl.opts.get_field(name)
    except FieldDoesNotExist:
        own = getattr(cl.model_admin, name)
        empty, boolean = getattr(own, "empty_value_display", empty), getattr(own, "boolean", False)
        return lambda row: display_for_value(own(row), empty, boolean), css
    if isinstance(field, models.DateField | models.TimeField | models.ForeignKey):
        css += " nowrap"
    if isinstance(field, models.ForeignKey):
        return lambda row: display_for_value(getattr(row, name), empty), css
    return lambda row: display_for_field(field.value_from_object(row), field, empty), css


def opener(cl) -> Callable[..., SafeString]:
    """What gives the attributes of a link to a row's page, from which one gets back to this very list."""
    ending = add_preserved_filters({"preserved_filters": cl.preserved_filters, "opts": cl.opts}, "")

    def address(row):
        opens = html('href="{}{}"', cl.url_for_result(row), ending)
        if not cl.is_popup:
            return opens
        chosen = row.serializable_value(str(cl.to_field or cl.opts.pk.attname))
        return html('{} data-popup-opener="{}"', opens, chosen)

    return address


@register.simple_tag
def rail(apps, path: str) -> SafeString:
    """The way to every list, by app; the page at `path`, or the list that it belongs to, is marked."""
    parts = []
    for app in apps:
        label = app["app_label"]
        parts.append(
            html(
                '<p class="rail-title" id="rail-{}">{}</p>\n<ul aria-labelledby="rail-{}">',
                label,
                app["name"],
                label,
            )
        )
        for model in app["models"]:
            if address := model["admin_url"]:
                current = "page" if path == address else "true" if address in path else False
                about = attributes({"class": "rail-link", "href": address, "aria-current": current})
                parts.append(f"<li><a{about}>{escaped(model['name'])}</a></li>")
        parts.append("</ul>\n")
    return mark_safe("".join(parts))  # noqa: S308  each part comes escaped


@register.simple_tag
def counts_of(formset) -> SafeString:
    """The hidden fields by which a set of forms tells how many it has, as Django's own widgets write them."""
    form, parts = formset.management_form, []
    for name in form.fields:
        sent, value = form.add_prefix(name), form[name].value()
        told = {"name": sent, "value": False if value is None else value, "id": form.auto_id % sent}
        parts.append(f'<input type="hidden"{attributes(told)}>')
    return mark_safe("".join(parts))  # noqa: S308  attributes come escaped


@register.simple_tag
def lines(fieldset) -> SafeString:
    """The fields of a part of a form, one below the other, as Django's `fieldset.html` has them."""
    return mark_safe("".join(line(field) for entry in fieldset for field in entry))  # noqa: S308  see below


def line(field) -> str:
    """A field of a form or, where it is only read, its text. What is put together here comes escaped, but for labels."""
    if field.is_readonly:
        about, errors, hidden, name = field.field, "", field.field["is_hidden"], field.field["name"]
        label = f"<label>{conditional_escape(capfirst(str(about['label'])))}</label>"
        inner = f'{label}<div class="readonly">{field.contents()}</div>'
        hint, key = about["help_text"], ""
    else:
        bound = field.field
        errors, hidden, name = bound.errors, bound.is_hidden, bound.name
        hint, key = bound.help_text, bound.id_for_label
        css = " ".join(["vCheckboxLabel"] * field.is_checkbox + ["required"] * bound.field.required)
        about = attributes({"class": css or False, "for": key or False})
        label = f"<label{about}>{conditional_escape(bound.label)}</label>"
        inner = f"{bound}{label}" if field.is_checkbox else f"{label}{bound}"
    css = f"form-row{' errors' if errors else ''}{' hidden' if hidden else ''} field-{name}"
    if hint:
        own = f' id="{key}_helptext"' if key else ""
        hint = f'<div class="help{" hidden" if hidden else ""}"{own}><div>{hint}</div></div>'
    beside = " checkbox-row" if field.is_checkbox else ""
    errors = errors.as_ul() if errors else ""
    return f'<div class="{css}">{errors}<div><div class="flex-container{beside}">{inner}</div>{hint}</div></div>\n'


@register.simple_tag
def rows(inline) -> SafeString:
    """The rows of another table on an object's page, and the empty one that a script copies, as Django's `tabular.html` has them."""
    prefix, deletes = inline.formset.prefix, inline.formset.can_delete and inline.has_delete_permission
    entries, parts = list(inline), []
    for place, entry in enumerate(entries):
        empty = inline.has_add_permission and place == len(entries) - 1
        cells = [cell_of(field) for fieldset in entry for entry_line in fieldset for field in entry_line]
        if entry.form.non_field_errors():
            parts.append(
                f'<tr class="row-form-errors"><td colspan="{len(cells) + 2}">{entry.form.non_field_errors()}</td></tr>\n'
            )
        keys = f"{entry.pk_field().field}{entry.fk_field().field}"
        delete = entry.deletion_field().field if deletes and entry.original else ""
        css = f"form-row{' has_original' if entry.original else ''}{' empty-form' if empty else ''}"
        parts.append(
            f'<tr class="{css}" id="{prefix}-{"empty" if empty else place}"><td class="original">{keys}</td>'
            f'{"".join(cells)}<td class="delete">{delete}</td></tr>\n'
        )
    return mark_safe("".join(parts))  # noqa: S308  each part comes escaped


def cell_of(field) -> str:
    if field.is_readonly:
        return f'<td class="field-{field.field["name"]}"><p>{field.contents()}</p></td>'
    bound = field.field
    return f'<td class="field-{bound.name}">{bound.errors.as_ul() if bound.errors else ""}{bound}</td>'
