"""How fast the machine is from moment to moment: on a shared one that changes by a third within a second."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator

from kiryana.cluster import die_with_parent

EVERY = 0.008  # seconds between two looks
NUMBERS, STEPS = (
    20_000,
    600,
)  # of the computation: some of a processor's caches, and a quarter of a millisecond


class Pace:
    """Tells the speed of the machine by a small computation that one process on each processor repeats. Use it in a `with`.

    What is measured while the machine is slow comes out as at its usual speed, which is that between `__enter__` and `settle`. A
    tenth of a second of anybody else's work next door moves a rate and the limit beside it in different ways; without this,
    two runs of the bench differ twice as much.
    """

    def __init__(self):
        self.usual = 1.0  # computations in a second of processor time
        self.processes: list[multiprocessing.Process] = []

    def __enter__(self) -> "Pace":
        context = multiprocessing.get_context("fork")
        processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None]
        # Of each processor: computations, and the seconds of processor time that they took.
        self.counters = [context.Array("d", 2, lock=False) for _processor in processors]
        for processor, counter in zip(processors, self.counters, strict=True):
            process = context.Process(target=compute, args=(processor, counter, os.getpid()), daemon=True)
            process.start()
            self.processes.append(process)
        self.begun = self.counted()
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.terminate()
            process.join()

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """Nothing is computed meanwhile. To look disturbs too: a page that is asked alone took a tenth longer."""
        for process in self.processes:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in self.processes:
                os.kill(process.pid, signal.SIGCONT)

    def counted(self) -> list[tuple[float, float]]:
        return [tuple(counter) for counter in self.counters]

    def speed_since(self, before: list[tuple[float, float]]) -> float:
        """Mean of the processors; the usual one where it was not looked at, in a moment that was too short."""
        speeds = [
            (count - count_before) / (seconds - seconds_before)
            for (count, seconds), (count_before, seconds_before) in zip(self.counted(), before, strict=True)
            if count > count_before
        ]
        return sum(speeds) / len(speeds) if speeds else self.usual

    def settle(self) -> None:
        """Takes the speed up to now for the usual one."""
        self.usual = self.speed_since(self.begun)

    def rate(self, measure: Callable[[], float]) -> float:
        """What `measure` gives, so many in a second, as at the usual speed."""
        before = self.counted()
        found = measure()
        return found * self.usual / self.speed_since(before)

    def time(self, measure: Callable[[], float]) -> float:
        """What `measure` gives, a time, as at the usual speed."""
        before = self.counted()
        found = measure()
        return found * self.speed_since(before) / self.usual


def compute(processor: int | None, counter, parent: int) -> None:
    """The process of one processor: computes, tells, and rests most of the time."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever it does to the bench, from which this is forked
    die_with_parent(parent, signal.SIGKILL)  # also while it rests
    if processor is not None:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {processor})
    texts, place, found = {number: str(number) for number in range(NUMBERS)}, 1, 0
    while True:
        began = time.thread_time()
        for _step in range(STEPS):
            place = (place * 1103515245 + 12345) % NUMBERS
            found += len(texts[place])
        seconds = time.thread_time() - began
        counter[1] += seconds
        counter[0] += 1
        time.sleep(EVERY)
