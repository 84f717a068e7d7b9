"""What the templates of the head office need. `{% load head_office %}`."""

import re

from django import template
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.text import capfirst

register = template.Library()

CELL = re.compile(r"<(t[dh])(?: class=\"([^\"]*)\")?")


@register.filter
def labelled(cells, headers) -> list:
    """The cells of a row, each with its column's title for the phone, where a row is a card. The first one heads it."""
    done = []
    for place, (cell, header) in enumerate(zip(cells, headers, strict=False)):
        css = "sheet-main" if place == 0 else ""
        if "label" not in header:  # translated once, not for every row
            header["label"] = str(capfirst(header["text"]))

        def begin(found, css=css, header=header):
            classes = " ".join(word for word in (found[2], css) if word)
            return format_html(
                '<{} role="cell" class="{}" data-label="{}"', found[1], classes, header["label"]
            )

        done.append(mark_safe(CELL.sub(begin, str(cell), count=1)))  # noqa: S308  Django's own cell, escaped by it
    return done
