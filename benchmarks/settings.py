"""What a run is about, as `benchmarks/run` and the caller say it."""

import argparse
import os
from dataclasses import dataclass

from odoo.modules.module import initialize_sys_path
from odoo.tools import config

from . import database

#: From this size on: ours and the SQL floor only, three times.
LARGE = 500_000


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
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--addons", required=True)
    parser.add_argument("--key", required=True)
    args = parser.parse_args()
    config.parse_config(["-c", args.config, "--log-level=error", "--no-http"])
    config["addons_path"] = [*config["addons_path"], args.addons]
    initialize_sys_path()
    size = get_size(os.environ.get("SIZE") or "20000")
    runs = int(os.environ.get("RUNS") or (3 if size >= LARGE else 5))
    return Bench(size, runs, args.key)
