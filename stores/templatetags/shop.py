"""How money, quantities, times and states look on every page. `{% load shop %}`.

Numbers are wrapped in <bdi dir="ltr">, so that they read the same inside Urdu text. Nothing is rounded away.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

register = template.Library()

MINUS = "−"
WEIGHED = {"kg", "l"}
KEY_ENDS_SOON = timedelta(days=14)
STATES = {
    "out": ("out", lambda: _("Out")),
    "low": ("low", lambda: _("Low")),
    "ok": ("ok", lambda: _("OK")),
    "negative": ("negative", lambda: _("Below zero")),
}


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
    return format_html('<bdi dir="ltr">{}</bdi>', text)


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
    return format_html('<span class="no-break">{} {}</span>', text, product.get_unit_display())


@register.filter
def signed(number, product) -> str:
    """A quantity with its sign in front, + or −, and its unit: what a movement did."""
    text = plain_quantity(Decimal(number), product.unit)
    text = isolated(text if number < 0 else "+" + text)
    css = "no-break minus" if number < 0 else "no-break plus"
    return format_html('<span class="{}">{} {}</span>', css, text, product.get_unit_display())


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
    css, label = STATES[str(word)]
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


@register.simple_tag
@lru_cache(maxsize=4096)
def link(name: str, *args) -> str:
    """As `url`, for long lists: many of their rows lead to the same pages."""
    return reverse(name, args=args)


def part_of_day(hour: int) -> str:
    """am or pm; Urdu has four words, each for some hours."""
    if hour < 4:
        return pgettext("0:00 to 3:59", "am")
    if hour < 12:
        return pgettext("4:00 to 11:59", "am")
    if hour < 16:
        return pgettext("12:00 to 15:59", "pm")
    return pgettext("16:00 to 19:59", "pm") if hour < 20 else pgettext("20:00 to 23:59", "pm")


def clock_text(local: datetime) -> str:
    """3:05 pm."""
    return f"{local.hour % 12 or 12}:{local.minute:02d} {part_of_day(local.hour)}"


@lru_cache(maxsize=2048)
def written(value: date, language: str | None) -> str:
    """22 Nov 2026 in `language`, the reader's own: lists say the same few days over and over."""
    return formats.date_format(value, "j M Y")


@register.filter
def day(value) -> str:
    """22 Nov 2026."""
    if not value:
        return "–"
    return written(value.date() if isinstance(value, datetime) else value, get_language())


@register.filter
def clock(instant, store) -> str:
    """The time of day in the store's zone, the whole date and time on hovering."""
    local = instant.astimezone(ZoneInfo(store.timezone))
    time = clock_text(local)
    return format_html(
        '<time datetime="{}" title="{}"><bdi>{}</bdi></time>',
        instant.isoformat(),
        _("%(day)s, %(time)s") % {"day": day(local), "time": time},
        time,
    )


@register.filter
def at(instant, store) -> str:
    """Date and time in the store's zone: 22 Nov 2026, 3:05 pm."""
    if instant is None:
        return "–"
    local = instant.astimezone(ZoneInfo(store.timezone))
    return format_html(
        '<time datetime="{}">{}</time>',
        instant.isoformat(),
        format_html(
            _("%(day)s, %(time)s") % {"day": "{}", "time": "<bdi>{}</bdi>"},
            day(local),
            clock_text(local),
        ),
    )


@register.filter
def iso(value: date | None) -> str:
    """A date as date fields and addresses write it."""
    return value.isoformat() if value else ""
