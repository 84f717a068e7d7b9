"""What only reports show: charts, and figures of mixed units. `{% load reports %}`."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django import template
from django.utils import formats
from django.utils.html import format_html
from django.utils.translation import get_language, get_language_bidi
from django.utils.translation import gettext as _

from stores.templatetags.shop import MINUS, grouped, isolated, places, plain_money, written

register = template.Library()

# The chart's own units: about one CSS pixel each on a phone. Between TOP and FLOOR stand the bars.
WIDTH, TOP, FLOOR, HEIGHT = 320, 24, 120, 146
# More bars than this would be thinner than a line: then a bar is a week.
MOST_BARS = 62
LETTER = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """One day or week: its first and last day, its figure, and where it stands."""

    start: date
    end: date
    value: Decimal
    left: float = 0
    width: float = 0
    top: float = 0
    height: float = 0

    @property
    def middle(self) -> float:
        return self.left + self.width / 2

    @property
    def path(self) -> str:
        return f"M{self.left:.1f} {self.top:.1f}h{self.width:.1f}v{self.height:.1f}h-{self.width:.1f}z"


@dataclass(frozen=True, slots=True)
class Label:
    """A word in the chart, around its middle."""

    x: float
    y: float
    text: str
    css: str = ""


@register.filter
def mixed(number) -> str:
    """A quantity of goods of several units: decimals only where there are some."""
    number = Decimal(number)
    return isolated(f"{MINUS if number < 0 else ''}{grouped(number, 3 if places(number) else 0)}")


@register.filter
def percent(number) -> str:
    """A share with one decimal: 12.5 %."""
    return isolated(f"{number}%") if number is not None else "–"


@register.filter
def weekday(day: date) -> str:
    """Sunday."""
    return written(day, get_language(), "l")


@register.filter
def short_weekday(day: date) -> str:
    """Sun."""
    return written(day, get_language(), "D")


def share_bar(share: Decimal | None) -> str:
    """A share (percent) as a bar, for the eye alone; nothing for none."""
    if share is None:
        return ""
    return format_html(
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="share-back" width="100" height="8"/><rect class="share-bar" width="{}" height="8"/></svg>',
        f"{share:.1f}",
    )


@register.inclusion_tag("reports/_chart.html")
def sales_chart(rows: list[dict], start: date, end: date, today: date) -> dict:
    """The bars of daily sales from `start` to `end`, and the sentence that says what they show."""
    bars = placed(by_week(start, end, rows) if (end - start).days >= MOST_BARS else by_day(start, end, rows))
    best = max(bars, key=lambda bar: bar.value)
    running = [bar for bar in bars if bar.start <= today <= bar.end and bar is not best]
    others = [bar for bar in bars if bar is not best and bar not in running]
    return {
        "title": headline(bars, best),
        "width": WIDTH,
        "height": HEIGHT,
        "floor": zero_line(bars),
        "best": best.path,
        "others": "".join(bar.path for bar in others if bar.height),
        "running": "".join(bar.path for bar in running if bar.height),
        "labels": [*value_labels(bars, best), *day_labels(bars, best)],
        "weeks": bars[0].start != bars[0].end,
    }


def by_day(start: date, end: date, rows: list[dict]) -> list[Bar]:
    """A bar for each day, also for those without trade."""
    sold = {row["business_date"]: row["revenue"] for row in rows}
    days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    return [Bar(day, day, sold.get(day, Decimal(0))) for day in days]


def by_week(start: date, end: date, rows: list[dict]) -> list[Bar]:
    """A bar for each seven days counted from `start`; the last one may be shorter."""
    sums = {}
    for row in rows:
        week = (row["business_date"] - start).days // 7
        sums[week] = sums.get(week, Decimal(0)) + row["revenue"]
    weeks = range((end - start).days // 7 + 1)
    first_days = [start + timedelta(days=7 * week) for week in weeks]
    return [
        Bar(day, min(day + timedelta(days=6), end), sums.get(week, Decimal(0)))
        for week, day in zip(weeks, first_days, strict=True)
    ]


def scale(bars: list[Bar]) -> tuple[float, float]:
    """(units per rupee, y of zero): the highest and the lowest figure just fit; below zero hangs under the line."""
    high = float(max(Decimal(0), *(bar.value for bar in bars)))
    low = float(min(Decimal(0), *(bar.value for bar in bars)))
    step = (FLOOR - TOP) / ((high - low) or 1)
    return step, TOP + high * step if high or low else FLOOR


def zero_line(bars: list[Bar]) -> str:
    """The y of the line that the bars stand on."""
    return f"{scale(bars)[1]:.1f}"


def placed(bars: list[Bar]) -> list[Bar]:
    """The bars with their places; time runs the way the reader's language does."""
    step, zero = scale(bars)
    slot = WIDTH / len(bars)
    width = min(slot * 0.72, 48)
    made = []
    for number, bar in enumerate(bars):
        height = abs(float(bar.value)) * step
        left = slot * number + (slot - width) / 2
        if get_language_bidi():
            left = WIDTH - left - width
        made.append(
            Bar(bar.start, bar.end, bar.value, left, width, zero - height if bar.value > 0 else zero, height)
        )
    return made


def headline(bars: list[Bar], best: Bar) -> str:
    """What the chart says, in a sentence."""
    words = {
        "money": plain_money(best.value).replace(" ", "\xa0"),
        "day": formats.date_format(best.start, "l j F"),
    }
    if len(bars) == 1:
        return _("%(money)s on %(day)s") % words
    if best.start != best.end or bars[0].start != bars[0].end:
        return _("The best week began on %(day)s: %(money)s") % words
    return _("The best day was %(day)s: %(money)s") % words


def text_width(text: str) -> float:
    """About how wide a label is; Urdu is set larger."""
    return len(text) * (LETTER * 1.25 if get_language() == "ur" else LETTER)


def inside(x: float, text: str) -> float:
    """`x` moved so far that a label around it stays in the drawing."""
    half = text_width(text) / 2
    return min(max(x, half), WIDTH - half)


def value_labels(bars: list[Bar], best: Bar) -> list[Label]:
    """The figure over every bar where there is room for all, else over the best one alone."""

    def label(bar: Bar) -> Label:
        text = plain_money(bar.value).replace("Rs ", "")
        return Label(
            inside(bar.middle, text), max(bar.top - 6, 14), text, "chart-value" if bar is best else ""
        )

    slot = WIDTH / len(bars)
    if all(text_width(plain_money(bar.value)) <= slot for bar in bars):
        return [label(bar) for bar in bars]
    return [label(best)]


def day_labels(bars: list[Bar], best: Bar) -> list[Label]:
    """Days under the bars: all of them where they fit, else the first, the last and the best where they do not collide."""
    y = HEIGHT - 6
    slot = WIDTH / len(bars)
    numbers = [str(bar.start.day) for bar in bars]
    if bars[0].start == bars[0].end and max(text_width(text) for text in numbers) <= slot:
        return [
            Label(bar.middle, y, text, "chart-value" if bar is best else "")
            for bar, text in zip(bars, numbers, strict=True)
        ]
    labels = []
    for bar in (bars[0], bars[-1], best):
        text = formats.date_format(bar.start, "j M")
        label = Label(inside(bar.middle, text), y, text, "chart-value" if bar is best else "")
        if all(
            abs(label.x - other.x) > (text_width(text) + text_width(other.text)) / 2 + LETTER
            for other in labels
        ):
            labels.append(label)
    return labels
