"""Time the addon against what people would use instead; see `benchmarks/run`."""

import argparse
import importlib
import os
import time
from dataclasses import dataclass

from odoo.tools import config

from . import database, lib, report

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
#: From this size on: ours and the SQL floor only, three times.
LARGE = 500_000
LARGE_PARTS = ("reconcile", "enroll", "daily", "simulate")


@dataclass
class Bench:
    """What a part has to know."""

    size: int
    runs: int
    key: str

    def database(self, kind, size=None):
        """Return the name of a database, see `database.prepare`."""
        return database.prepare(kind, size or self.size, self.key)


def get_size(text):
    """Read 500, 20k or 1M."""
    factor = {"k": 1000, "m": 1_000_000}.get(text[-1].lower(), 1)
    return int(float(text.rstrip("kKmM")) * factor)


def get_bench():
    """Read what `benchmarks/run` says, and what the caller has set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--addons", required=True)
    parser.add_argument("--key", required=True)
    args = parser.parse_args()
    config.parse_config(["-c", args.config, "--log-level=error", "--no-http"])
    config["addons_path"] = [*config["addons_path"], args.addons]
    import odoo.modules.module

    odoo.modules.module.initialize_sys_path()
    size = get_size(os.environ.get("SIZE") or "20000")
    runs = int(os.environ.get("RUNS") or (3 if size >= LARGE else 5))
    return Bench(size, runs, args.key)


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
    report.write(bench, header, rows, partial=bool(wanted))


main()
