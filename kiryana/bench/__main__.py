"""`bin/bench`: python -m kiryana.bench [--quick] [--only NAME ...]"""

import argparse
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from kiryana.bench import load
from kiryana.bench.figures import Failed, commit, machine, table, write_down
from kiryana.bench.server import ROOT, NotReady
from kiryana.cluster import ClusterError, make_home

NAMES = ("sale", "basket", "batch", "import", "page", "hot", "pages", "guarantees", "memory", "start")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="a small ledger and short runs: a minute or two")
    parser.add_argument(
        "--only",
        action="append",
        choices=NAMES,
        default=None,
        metavar="NAME",
        help=f"may be repeated: {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--repeat", type=int, help="how often each figure is measured (default 5, with --quick 3)"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep the filled ledgers for the next run with --keep (some 20 GB)",
    )
    parser.add_argument(
        "--json", type=Path, help="where the figures go (default bench.json in the folder of the bench)"
    )
    parser.add_argument(
        "--home", type=Path, help="an empty or new folder for the server (default bench in KIRYANA_HOME)"
    )


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measures this system on this machine.")
    add_arguments(parser)
    given = parser.parse_args(words)
    if given.repeat is not None and given.repeat < 1:
        parser.error("--repeat must be at least 1")
    from kiryana.bench.run import Bench

    home = (given.home or Path(os.environ.get("KIRYANA_HOME") or ROOT / "var") / "bench").resolve()
    about = {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(ROOT),
        "quick": given.quick,
        "machine": machine(),
    }
    bench = Bench(home, quick=given.quick, only=given.only or NAMES, repeat=given.repeat, keep=given.keep)
    # Whoever ends us in another way than Ctrl-C does not leave the data behind either.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        make_home(home)
        with bench:
            bench.run()
    except (Failed, NotReady, ClusterError, load.Broken, ConnectionError, TimeoutError) as failure:
        print(f"\nThe run failed: {failure}", file=sys.stderr, flush=True)
        if measured := [figure for figure in bench.figures if figure.pairs]:
            print(f"\nWhat was measured until then, not to be relied on:\n{table(measured)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing was written down.", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    file = given.json or home / "bench.json"
    write_down(
        file,
        bench.figures,
        about | {"load_at_end": os.getloadavg(), "seconds": bench.seconds(), **bench.about},
    )
    busy = about["machine"]["load"][0]
    print(
        f"\n{about['machine']['processors']} processors, {about['machine']['model']}; load at the beginning {busy:.1f}"
    )
    print(
        f"PostgreSQL {bench.about['postgresql']}: {', '.join(f'{k}={v}' for k, v in bench.about['settings'].items())}"
    )
    print(
        f"{bench.about['small']:,} movements, beside it {bench.about['large']:,}; {bench.seconds():.0f} seconds in all\n"
    )
    print(table(bench.figures))
    print(f"\nEvery repetition is in {file}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
