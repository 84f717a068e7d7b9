"""A figure, the limit that stands beside it, and the table and file that a run ends with."""

import json
import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class Failed(Exception):
    """A figure that cannot be trusted: something in its run was not as it must be."""


@dataclass(slots=True)
class Figure:
    """One line of the table. `pairs` are (value, limit) of each repetition; a figure without a goal only informs."""

    name: str
    unit: str
    against: str
    goal: float | None = None
    stretch: float | None = None
    more_is_better: bool = True
    pairs: list[tuple[float, float]] = field(default_factory=list)
    detail: dict = field(default_factory=dict)

    def add(self, value: float, limit: float) -> None:
        """One repetition; refuses one without a value or without a limit."""
        if not (value > 0 and limit > 0):
            raise Failed(f"{self.name}: {value} {self.unit} beside a limit of {limit} says nothing.")
        self.pairs.append((value, limit))

    @property
    def ratios(self) -> list[float]:
        return [value / limit for value, limit in self.pairs]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def value(self) -> float:
        return statistics.median(value for value, _limit in self.pairs)

    @property
    def limit(self) -> float:
        return statistics.median(limit for _value, limit in self.pairs)

    @property
    def spread(self) -> float:
        """(largest - smallest) / median of the ratios."""
        return (max(self.ratios) - min(self.ratios)) / self.ratio

    def reaches(self, mark: float) -> bool:
        return self.ratio >= mark if self.more_is_better else self.ratio <= mark

    @property
    def met(self) -> str:
        if self.goal is None:
            return ""
        return "stretch" if self.reaches(self.stretch) else "goal" if self.reaches(self.goal) else "missed"

    def as_dict(self) -> dict:
        return {
            "name": self.name, "unit": self.unit, "value": self.value, "against": self.against, "limit": self.limit,
            "ratio": self.ratio, "spread": self.spread, "pairs": self.pairs, "more_is_better": self.more_is_better,
            "goal": self.goal, "stretch": self.stretch, "met": self.met, "detail": self.detail,
        }  # fmt: skip


def in_row(one: float, other: float) -> float:
    """The rate of two steps done one after the other, from the rate of each: L = 1 / (1/V + 1/P)."""
    return 1 / (1 / one + 1 / other)


def in_turns(measures: Sequence[tuple[str, Callable[[], float]]], rounds: int, turn: int) -> dict[str, float]:
    """The mean of what each of `measures` gave over so many rounds, by name; one may have several places in a round.

    Every second round, and every second turn, goes backwards: what is measured just after a checkpoint, when each page goes
    into the log as a whole, is then not always the same. Rounds are short, because a machine's speed changes by the second.
    """
    found: dict[str, list[float]] = {name: [] for name, _measure in measures}
    for number in range(rounds):
        for name, measure in measures[:: -1 if (turn + number) % 2 else 1]:
            found[name].append(measure())
    return {name: sum(each) / len(each) for name, each in found.items()}


def short(number: float) -> str:
    """A number of about three digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


TITLES = ("figure", "value", "limit", "ratio", "spread", "goal", "stretch", "")


def table(figures: list[Figure]) -> str:
    """All figures as a Markdown table."""
    rows = []
    for figure in figures:
        sign = "≥" if figure.more_is_better else "≤"
        marks = ["-" if mark is None else f"{sign} {mark:g}" for mark in (figure.goal, figure.stretch)]
        rows.append([
            figure.name, f"{short(figure.value)} {figure.unit}", f"{short(figure.limit)} {figure.against}",
            f"{figure.ratio:.2f}", f"{figure.spread:.0%}", *marks, figure.met,
        ])  # fmt: skip
    widths = [max(len(row[place]) for row in [TITLES, *rows]) for place in range(len(TITLES))]

    def line(cells) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(TITLES), line(["-" * width for width in widths]), *map(line, rows)])


def machine() -> dict:
    """What this ran on, and how busy it was with other things when the run began."""
    try:
        told = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((row.split(":", 1)[1].strip() for row in told if row.startswith("model name")), "")
    except OSError:
        processor = ""
    return {
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "model": processor,
        "load": os.getloadavg(),
    }


def commit(root: Path) -> str:
    """The version that was measured; "" outside of a clone."""
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return asked.stdout.strip()


def write_down(file: Path, figures: list[Figure], about: dict) -> None:
    """The JSON file of a run: `about` it, and each figure with every repetition."""
    file.write_text(
        json.dumps(about | {"figures": [figure.as_dict() for figure in figures]}, indent=1) + "\n"
    )
