"""How money, quantities, times and states look on every page. `{% load shop %}`.

Numbers are wrapped in <bdi dir="ltr">, so that they read the same inside Urdu text. Nothing is rounded away.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django import template
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from stores.access import MAY, may
from stores.forms import escaped

register = template.Library()

MINUS = "−"
WEIGHED = {"kg", "l"}
UNQUOTED = "/~:@!$&'()*+,;="  # as in `reverse`
KEY_ENDS_SOON = timedelta(days=14)
STATES = {
    "out": ("out", lambda: _("Out")),
    "low": ("low", lambda: _("Low")),
    "ok": ("ok", lambda: _("OK")),
    "negative": ("negative", lambda: _("Below zero")),
}


def html(form: str, *values) -> SafeString:
    """As Django's `format_html`, for what a page says hundreds of times: two thirds of its work is to ask what is lazy."""
    return SafeString(form.format(*map(escaped, values)))


def grouped(number: Decimal, decimals: int) -> str:
    """`number` without its sign, with thousands set apart by commas: 1,234.50."""
    return f"{abs(number):,.{decimals}f}"


def places(number: Decimal) -> int:
    """How many decimals `number` really has."""
    return max(0, -number.normalize().as_tuple().exponent)


def plain_money(amount: Decimal) -> str:
    """Rs 1,250; paisa only when there are some; more decimals (average costs) only when they say something."""
    decimals = 0 if not places(amount) else max(2, places(amount))
    return f"{MINUS if amount < 0 else ''}Rs {grouped(amount, decimals)}"


def plain_quantity(quantity: Decimal, unit: str = "pc") -> str:
    """1.250 for weights (always 3 decimals), 12 for pieces."""
    decimals = 3 if unit in WEIGHED or places(quantity) else 0
    return f"{MINUS if quantity < 0 else ''}{grouped(quantity, decimals)}"


def isolated(text: str) -> SafeString:
    """`text` from left to right inside any other; for figures, which hold nothing to escape."""
    return SafeString(f'<bdi dir="ltr">{text}</bdi>')


@register.filter
def money(amount) -> str:
    """An amount of rupees; a dash for none."""
    return isolated(plain_money(Decimal(amount))) if amount is not None and amount != "" else "–"


@register.filter
def quantity(number, product) -> str:
    """A quantity of `product` with its unit."""
    if number is None or number == "":
        return "–"
    text = isolated(plain_quantity(Decimal(number), product.unit))
    return SafeString(f'<span class="no-break">{text} {escaped(product.get_unit_display())}</span>')


@register.filter
def signed(number, product) -> str:
    """A quantity with its sign in front, + or −, and its unit: what a movement did."""
    text = plain_quantity(Decimal(number), product.unit)
    text = isolated(text if number < 0 else "+" + text)
    css = "no-break minus" if number < 0 else "no-break plus"
    return SafeString(f'<span class="{css}">{text} {escaped(product.get_unit_display())}</span>')


@register.filter
def bare(number, product) -> str:
    """A quantity as a form field holds it: no unit, no grouping."""
    if number is None or number == "":
        return ""
    number = Decimal(number)
    return f"{number:.{3 if product.unit in WEIGHED or places(number) else 0}f}"


@register.filter
def count(number) -> str:
    """How many, with thousands set apart."""
    return isolated(f"{int(number):,}") if number is not None else "–"


@register.filter
def state(word: str) -> str:
    """The chip of a stock state (out, low, ok, negative): shape, word and colour."""
    return state_chip(str(word), get_language())


@lru_cache(maxsize=64)
def state_chip(word: str, language: str | None) -> SafeString:
    """The chip of a state in `language`, the reader's own."""
    css, label = STATES[word]
    return chip(css, label())


@register.filter
def key_state(key) -> str:
    """The chip that says how a key stands: works, runs out soon, ran out, revoked."""
    now = timezone.now()
    if key.revoked_at:
        css, words = "out", _("Revoked")
    elif key.expires_at and key.expires_at <= now:
        css, words = "out", _("Ran out")
    elif key.expires_at and key.expires_at <= now + KEY_ENDS_SOON:
        css, words = "low", _("Runs out soon")
    else:
        css, words = "ok", _("Works")
    return chip(css, words)


@lru_cache(maxsize=256)
def chip(css: str, words: str) -> SafeString:
    """A state by colour, shape and word; `css` is out, low or ok."""
    return format_html(
        '<span class="state state-{}"><svg class="state-shape" viewBox="0 0 12 12" aria-hidden="true">'
        '<use href="{}#state-{}"/></svg>{}</span>',
        css, static("img/icons.svg"), css, words,
    )  # fmt: skip


@register.filter
def shop_name(store) -> str:
    """The store's name in the reader's language."""
    return store.name_ur if store.name_ur and get_language() == "ur" else store.name


@register.simple_tag
@lru_cache(maxsize=256)
def icon(name: str, css: str = "") -> str:
    """One picture of static/img/icons.svg; say what it means beside it, it is hidden from screen readers."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        css,
        static("img/icons.svg"),
        name,
    )


ANY_STORE = "-"  # the code in the addresses of a navigation that is kept for all stores


@lru_cache(maxsize=256)
def navigation_of(role: str | None, section: str, language: str | None) -> str:
    """The navigation of a role with its place in it, in `language`, the reader's own; for the store ANY_STORE."""
    shown = {"store": {"code": ANY_STORE}, "may": {act: may(role, act) for act in MAY}, "section": section}
    return render_to_string("components/nav.html", shown)


@register.simple_tag(takes_context=True)
def navigation(context) -> str:
    """The navigation of the store's pages: links, of which nothing but the store's code differs from store to store."""
    store = context["store"]
    text = navigation_of(getattr(store, "role", None), str(context.get("section", "")), get_language())
    return SafeString(text.replace(f"/s/{ANY_STORE}/", f"/s/{store.code}/"))


def addresses(name: str, code: str) -> Callable[[object], str]:
    """Where `name` is for each of many SKUs or numbers in the store `code`, as `url`; for long lists."""
    start, end = reverse(name, args=[code, 0]).rsplit("0", 1)
    return lambda part: start + quote(str(part), safe=UNQUOTED) + end


class Rows(template.Node):
    """The rows of a long list; see `rows`."""

    PLACE = re.compile(r"\[\[(\w+)\]\]")

    def __init__(self, rows, nodelist):
        self.rows, self.nodelist = rows, nodelist

    def render(self, context):
        rows = self.rows.resolve(context)
        form = self.PLACE.sub(r"%(\1)s", self.nodelist.render(context).replace("%", "%%")) if rows else ""
        return mark_safe(  # noqa: S308  (the form is a template's, and each value is escaped here)
            "".join(form % {name: escaped(value) for name, value in row.items()} for row in rows)
        )


@register.tag
def rows(parser, token):
    """{% rows shown %}<tr>...[[name]]...</tr>{% endrows %}: what is inside once for each dict of `shown`, with its values in place
    of their names.

    What is inside is rendered once, for all rows: what differs from row to row is a value, no `if`. For lists of fifty rows and
    more, where going through a template fifty times is most of what the page costs.
    """
    _name, shown = token.split_contents()
    nodelist = parser.parse(["endrows"])
    parser.delete_first_token()
    return Rows(parser.compile_filter(shown), nodelist)


@lru_cache(maxsize=64)
def part_of_day(hour: int, language: str | None) -> str:
    """am or pm in `language`, the reader's own; Urdu has four words, each for some hours."""
    if hour < 4:
        return pgettext("0:00 to 3:59", "am")
    if hour < 12:
        return pgettext("4:00 to 11:59", "am")
    if hour < 16:
        return pgettext("12:00 to 15:59", "pm")
    return pgettext("16:00 to 19:59", "pm") if hour < 20 else pgettext("20:00 to 23:59", "pm")


def clock_text(local: datetime) -> str:
    """3:05 pm."""
    return f"{local.hour % 12 or 12}:{local.minute:02d} {part_of_day(local.hour, get_language())}"


@lru_cache(maxsize=2048)
def written(value: date, language: str | None, form: str = "j M Y") -> str:
    """22 Nov 2026, or in another `form`, in `language`, the reader's own: lists say the same few days over and over."""
    return formats.date_format(value, form)


@register.filter
def day(value) -> str:
    """22 Nov 2026."""
    if not value:
        return "–"
    return written(value.date() if isinstance(value, datetime) else value, get_language())


@lru_cache(maxsize=8)
def day_and_time(language: str | None) -> str:
    """How a day and a time stand together in `language`, the reader's own."""
    return _("%(day)s, %(time)s")


@register.filter
def clock(instant, store) -> str:
    """The time of day in the store's zone, the whole date and time on hovering."""
    local = instant.astimezone(ZoneInfo(store.timezone))
    time = clock_text(local)
    title = escape(day_and_time(get_language()) % {"day": day(local), "time": time})
    return SafeString(
        f'<time datetime="{instant.isoformat()}" title="{title}"><bdi>{escaped(time)}</bdi></time>'
    )


@register.filter
def at(instant, store) -> str:
    """Date and time in the store's zone: 22 Nov 2026, 3:05 pm."""
    if instant is None:
        return "–"
    local = instant.astimezone(ZoneInfo(store.timezone))
    time = f"<bdi>{escaped(clock_text(local))}</bdi>"
    text = day_and_time(get_language()) % {"day": escaped(day(local)), "time": time}
    return SafeString(f'<time datetime="{instant.isoformat()}">{text}</time>')


@register.filter
def iso(value: date | None) -> str:
    """A date as date fields and addresses write it."""
    return value.isoformat() if value else ""
