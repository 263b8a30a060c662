"""Time the addon against what people would use instead; see `benchmarks/run`."""

import importlib
import os
import time

from . import lib, report
from .settings import LARGE, get_bench

#: Each is a module of its own with a `run(bench)` that returns rows of the table.
PARTS = (
    "compose",
    "chunks",
    "credit_control",
    "reconcile",
    "enroll",
    "daily",
    "deliver",
    "guest",
    "install",
    "simulate",
)
#: Of large databases: ours and the SQL floor only.
LARGE_PARTS = ("reconcile", "enroll", "daily", "simulate")


def run_part(name, bench):
    return importlib.import_module(f"benchmarks.{name}").run(bench)


def main():
    bench = get_bench()
    wanted = os.environ.get("ONLY")
    parts = LARGE_PARTS if bench.size >= LARGE else PARTS
    if wanted:
        parts = wanted.split(",")
        if unknown := set(parts) - set(PARTS):
            raise SystemExit(f"No such part: {unknown}. There are: {PARTS}")
    header = report.get_header(bench)
    print("\n".join(header), flush=True)
    rows = []
    for name in parts:
        started = time.monotonic()
        print(f"{name}…", flush=True)
        # In a process of its own: its memory begins with nothing of the others.
        found = lib.in_child(run_part, name, bench)
        rows += found
        print(report.format_table(found))
        print(f"  ({time.monotonic() - started:.0f} s)\n", flush=True)
        # After each part: a run that is interrupted has not been for nothing.
        name = report.write(bench, header, rows, partial=bool(wanted))
    print(f"Written to {name}")


main()
