"""What long commands share: work spread over processes, and progress that a person or a log can follow."""

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any

from django.core.management import CommandError
from django.db import connections


class Progress:
    """How far a command is: a bar where somebody watches, one line for each per cent where a log is kept."""

    def __init__(self, label: str, total: int, unit: str, stream=None):
        self.label, self.total, self.unit, self.stream = label, max(total, 1), unit, stream or sys.stderr
        self.done, self.shown, self.began, self.told = 0, -1, time.monotonic(), 0.0
        self.watched = self.stream.isatty()

    def add(self, amount: int = 1) -> None:
        """`amount` more units are done."""
        self.done += amount
        percent, now = 100 * self.done // self.total, time.monotonic()
        if percent == self.shown and not (self.watched and now - self.told > 0.5):
            return
        self.shown, self.told = percent, now
        if self.watched:
            bar = "#" * (percent * 30 // 100)
            left = (now - self.began) * (self.total - self.done) / max(self.done, 1)
            self.stream.write(
                f"\r{self.label} [{bar:<30}] {percent:3d} % {self.done}/{self.total} {self.unit}, {left:.0f} s left  "
            )
        else:
            self.stream.write(f"{self.label}: {percent} % ({self.done}/{self.total} {self.unit})\n")
        self.stream.flush()

    def end(self) -> float:
        """Ends the line and gives the seconds since the beginning."""
        if self.watched and self.done:
            self.stream.write("\n")
            self.stream.flush()
        return time.monotonic() - self.began


def in_processes(work: Callable[[Any], Iterator], items: Sequence, processes: int) -> Iterator:
    """Runs the generator `work(item)` for each item and yields what they yield, as it comes.

    With more than one process, each has its own connection to the database and takes the next item when it is done
    with one. A failure anywhere ends all and is raised here. When this process dies, the others end at their next yield.
    """
    if processes <= 1 or len(items) <= 1:
        for item in items:
            yield from work(item)
        return
    context = multiprocessing.get_context("fork")
    connections.close_all()  # a connection must not be shared with a child
    turn, readers, children = context.Value("q", 0), [], []
    for _number in range(min(processes, len(items))):
        reader, writer = context.Pipe(duplex=False)
        child = context.Process(target=run_child, args=(work, items, turn, writer, os.getpid()))
        child.start()
        writer.close()  # the child's end is now the only one: its death is seen as the end of the pipe
        readers.append(reader)
        children.append(child)
    try:
        unfinished = len(readers)
        while readers:
            for reader in wait(readers):
                try:
                    what, value = reader.recv()
                except EOFError:
                    readers.remove(reader)
                    continue
                if what == "failed":
                    raise CommandError(value)
                if what == "ended":
                    unfinished -= 1
                else:
                    yield value
        if unfinished:
            raise CommandError("A worker process was killed. Run the command again.")
    finally:
        for child in children:
            child.terminate()
            child.join()


def run_child(work: Callable, items: Sequence, turn, writer, parent: int) -> None:
    """One process of `in_processes`: works on items until there is none left."""
    try:
        while True:
            with turn.get_lock():
                place = turn.value
                turn.value += 1
            if place >= len(items):
                break
            for value in work(items[place]):
                if os.getppid() != parent:
                    os._exit(1)  # nobody is there to listen
                writer.send(("said", value))
        writer.send(("ended", None))
    except CommandError as error:
        writer.send(("failed", str(error)))
    except Exception:
        writer.send(("failed", traceback.format_exc()))
    finally:
        connections.close_all()
