"""Odoo's own tests of what the addon extends, with the addon and without it.

    python -m dev.odoo_tests LOGS [--baseline] [MODULE…]

What fails without the addon is kept in `odoo_tests_baseline.txt`, together with the
name of the Odoo that it was found with. What comes out otherwise with the addon is run
again in both databases, because browsers and clocks make some tests fail now and then:
only what fails twice with the addon, and passes without it, counts.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

MODULES = ("account", "account_payment", "portal", "mail")
WITHOUT, WITH = "odoo_tests_without", "odoo_tests_with"
BASELINE = Path(__file__).with_name("odoo_tests_baseline.txt")
#: How many of the tests are named whose number of queries grew most.
SHOWN = 15

#: date, time, process, LEVEL, database, LOGGER, MESSAGE
LINE = re.compile(r"^[\d-]+ [\d:,]+ \d+ (?:INFO|ERROR) \S+ ([\w.]+): (.*)$")
STATISTICS = re.compile(r"^\t(\S+\.test_\w+): [\d.]+s (\d+) queries$")
STARTED = re.compile(r"Starting (\S+) \.\.\.")
SKIPPED = re.compile(r"skipped (\S+) : ")
RAISED = re.compile(r"[\w.]+\.[A-Z]\w+|\w*(?:Error|Exception|Failure)\b")
FAILED = re.compile(r"(?:FAIL|ERROR): (?:Subtest )?(\S+)(?: \((\S+)\))?")


class Results(NamedTuple):
    """What a run gave, by the names of the tests."""

    ran: set
    skipped: set
    failed: dict  # name: the reason, as Python says it
    queries: dict  # name: how many

    def __str__(self):
        return (
            f"{len(self.ran)} tests, {len(self.failed)} failed, {len(self.skipped)} "
            f"skipped, {sum(self.queries.values())} queries"
        )


# --- running ------------------------------------------------------------------------


def serve():
    """Be Odoo, in a process of its own, for one run.

    Odoo runs some tests while it loads modules. Then the models lack what modules
    loaded later give them (an invoice has nothing of ours, and a contact not even
    what accounting needs). So all are run at the end, when everything is loaded.
    """
    from odoo.cli import main
    from odoo.tests import loader

    make_suite = loader.make_suite

    def make_suite_at_the_end(modules, position="at_install"):
        suite = make_suite([], position)
        if position == "post_install":
            for each in ("at_install", "post_install"):
                for tests in make_suite(modules, each):
                    suite.addTest(tests)
        return suite

    loader.make_suite = make_suite_at_the_end
    sys.argv[1:2] = []
    main()


def run(database, tags, log):
    """Run the tests that the tags select, and return their results."""
    log.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "dev.odoo_tests",
        "serve",
        f"--database={database}",
    ]
    command += [f"--test-tags={tags}", "--stop-after-init", "--max-cron-threads=0"]
    command += [f"--http-port={get_free_port()}", f"--logfile={log}"]
    command += ["--log-handler=odoo.tests.stats:DEBUG"]
    command += [f"--screenshots={log.with_suffix('')}"]
    started = time.monotonic()
    with log.with_suffix(".out").open("w") as out:
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
        )
    results = read(log)
    print(f"  {database}: {results}, {time.monotonic() - started:.0f} s", flush=True)
    return results


def get_free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


# --- reading ------------------------------------------------------------------------


def read(log):
    results = Results(set(), set(), {}, {})
    text = log.read_text(errors="replace") if log.exists() else ""
    if "Initiating shutdown" not in text:
        raise SystemExit(f"Odoo did not come to its end. Its log: {log}")
    failing = None
    for line in text.splitlines():
        if found := STATISTICS.match(line):
            results.queries[found[1]] = int(found[2])
        elif found := LINE.match(line):
            failing = read_message(results, *found.groups())
        elif failing and RAISED.match(line):
            results.failed[failing] = line
    return results


def read_message(results, logger, message):
    """:return: the name of the test that failed; the next lines say why"""
    module = logger.removeprefix("odoo.addons.").replace(".tests.", ".", 1)
    if found := STARTED.match(message):
        results.ran.add(f"{module}.{found[1]}")
    elif found := SKIPPED.match(message):
        results.skipped.add(f"{module}.{found[1]}")
    elif found := FAILED.match(message):
        name = f"{module}.{found[1]}"
        if logger == "odoo.tests.suite":  # setUpClass (odoo.addons.….Class)
            owner = found[2].removeprefix("odoo.addons.").replace(".tests.", ".", 1)
            name = f"{owner}.{found[1]}"
        results.failed[name] = message
        return name
    return None


# --- what fails anyway --------------------------------------------------------------


def get_odoo_name():
    return Path(os.environ["PYTHONPATH"].split(":")[0]).name


def read_baseline():
    """:return: {module: {"failed NAME" and "skipped NAME"}}, of this Odoo only"""
    modules, lines = {}, []
    if BASELINE.exists():
        lines = BASELINE.read_text().splitlines()
    if f"# {get_odoo_name()}" in lines:
        for line in lines:
            if line.startswith("["):
                known = modules[line[1:].split("]")[0]] = set()
            elif line and not line.startswith("#"):
                known.add(line.split(": ")[0])
    return modules


def write_baseline(module, results):
    """Write what a module's tests gave; keep what is known of the others."""
    parts = {module: to_baseline(module, results)}
    if read_baseline():
        for part in BASELINE.read_text().split("\n\n")[1:]:
            parts.setdefault(part[1:].split("]")[0], part.strip())
    head = (
        "# What fails and what is skipped in Odoo's own tests without the addon.\n"
        "# Written by dev/odoo_tests --baseline, with this Odoo:\n"
        f"# {get_odoo_name()}"
    )
    ordered = [parts[each] for each in MODULES if each in parts]
    BASELINE.write_text("\n\n".join([head, *ordered]) + "\n")


def to_baseline(module, results):
    lines = [f"skipped {name}" for name in sorted(results.skipped)]
    for name, why in sorted(results.failed.items()):
        lines.append(f"failed {name}: {why[:160]}")
    return "\n".join([f"[{module}] {results}", *lines])


def to_known(results):
    return {f"failed {name}" for name in results.failed} | {
        f"skipped {name}" for name in results.skipped
    }


# --- comparing ----------------------------------------------------------------------


def compare(module, known, results, folder):
    """Print what comes out otherwise with the addon, and whether it is our doing.

    :return: the names of what fails with the addon only
    """
    found = to_known(results)
    for name in sorted(known - found):
        print(f"  without the addon only: {name}")
    others = sorted(found - known)
    if not others:
        return []
    tags = ",".join(sorted({to_tag(name.split()[1]) for name in others}))
    print(f"  again, because something changed: {tags}")
    again_with = to_known(run(WITH, tags, folder / f"{WITH}-{module}-again.log"))
    again_without = to_known(
        run(WITHOUT, tags, folder / f"{WITHOUT}-{module}-again.log")
    )
    ours = []
    for name in others:
        if name not in again_with or name in again_without:
            print(f"  now and then, also without the addon: {name}")
        else:
            why = results.failed.get(name.split()[1], "")
            print(f"  WITH THE ADDON ONLY: {name}: {why}")
            ours.append(name)
    return ours


def to_tag(name):
    """The tag that selects one test, or its class when that could not be set up."""
    module, _file, *_folders, owner, test = name.split(".")
    return f"/{module}:{owner}" + (f".{test}" if test.startswith("test_") else "")


def tell_queries(without, results):
    """What the addon costs: the tests whose number of queries grew most."""
    both = without.queries.keys() & results.queries.keys()
    grown = {name: results.queries[name] - without.queries[name] for name in both}
    before = sum(without.queries[name] for name in both)
    after = sum(results.queries[name] for name in both)
    print(f"  queries: {before} without, {after} with, {after / before:.3f} times")
    for name in sorted(grown, key=grown.get, reverse=True)[:SHOWN]:
        if grown[name] > 0:
            print(f"    {without.queries[name]:6} {grown[name]:+5}  {name}")


def main():
    parser = argparse.ArgumentParser(description="Odoo's own tests, with the addon.")
    parser.add_argument("logs", type=Path)
    parser.add_argument("--baseline", action="store_true", help="take it anew")
    parser.add_argument("modules", nargs="*", default=MODULES)
    args = parser.parse_args()
    ours = []
    for module in args.modules:
        print(f"{module}:", flush=True)
        log = args.logs / f"{WITHOUT}-{module}.log"
        if args.baseline or module not in read_baseline():
            write_baseline(module, run(WITHOUT, f"/{module}", log))
        results = run(WITH, f"/{module}", args.logs / f"{WITH}-{module}.log")
        ours += compare(module, read_baseline()[module], results, args.logs)
        if log.exists():
            tell_queries(read(log), results)
    if ours:
        raise SystemExit(f"{len(ours)} of Odoo's tests fail with the addon only.")
    print("Nothing fails with the addon that passes without it.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    else:
        main()
