"""Rows, the table that they make, and the plot of cost against size."""

import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from odoo import release

from . import lib

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
#: Between these lines of the README the table is kept up to date.
BEGIN, END = "<!-- benchmark -->", "<!-- /benchmark -->"
#: The size whose table the README shows.
README_SIZE = 20_000


@dataclass
class Row:
    """One line of the table."""

    #: Names it in the plot and from run to run.
    key: str
    what: str
    #: What was measured of ours and of what it is held against, as text.
    ours: str
    against: str
    #: The figure of each run; a single one where runs do not differ.
    figures: list
    #: What the figure is: "x" for a ratio, else its unit.
    unit: str = "×"
    #: What the median must reach, None for information; at least, instead of at most.
    bar: float | None = None
    at_least: bool = False
    #: {name of the curve: seconds}, for the plot
    curves: dict | None = None
    #: What was measured, and when: parts can be run alone, later.
    commit: str = ""

    @property
    def middle(self):
        return median(self.figures)

    @property
    def reached(self):
        if self.bar is None:
            return ""
        fine = self.middle >= self.bar if self.at_least else self.middle <= self.bar
        return "yes" if fine else "**no**"

    def format_bar(self):
        if self.bar is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {self.bar:g} {self.unit}"

    def format_figure(self):
        low, high = min(self.figures), max(self.figures)
        text = f"{format_number(self.middle)} {self.unit}"
        if low == high:
            return text
        return f"{text} ({format_number(low)}–{format_number(high)})"


def format_number(value):
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def format_seconds(value):
    """In the unit that suits it."""
    for factor, unit in ((1, "s"), (1000, "ms"), (1_000_000, "µs")):
        if value * factor >= 1 or unit == "µs":
            return f"{format_number(value * factor)} {unit}"


def compare(key, what, clocks, ours, theirs, *, per=None, value=None, **more):
    """A row for the ratio of two subjects.

    :param clocks: what `run_in_turn` returned
    :param per: what one thing is; None for the whole
    """
    value = value or (lambda clock: clock.each if per else clock.seconds)

    def tell(name):
        typical = lib.typical(clocks[name], value)
        queries = lib.typical(clocks[name], lambda clock: clock.queries)
        if per:
            queries /= lib.typical(clocks[name], lambda clock: clock.count)
        text = format_seconds(typical) + (f" a {per}" if per else "")
        # Other processes do not count theirs.
        return f"{text}, {format_number(queries)} queries" if queries else text

    return Row(
        key,
        what,
        f"{ours}: {tell(ours)}",
        f"{theirs}: {tell(theirs)}",
        lib.get_ratios(clocks[ours], clocks[theirs], value),
        curves={
            name: lib.typical(clocks[name], lambda clock: clock.seconds)
            for name in (ours, theirs)
        },
        **more,
    )


# --- the table ------------------------------------------------------------------

TITLES = ("what", "ours", "against", "median (min–max)", "must reach", "reached")


def format_table(rows):
    cells = [
        (r.what, r.ours, r.against, r.format_figure(), r.format_bar(), r.reached)
        for r in rows
    ]
    lines = [TITLES, ["---"] * len(TITLES), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def format_short_table(rows):
    """What has a bar, without how much it takes: ratios travel, seconds do not."""
    titles = ("what", "median (least–most)", "must reach", "reached")
    cells = [
        (row.what, row.format_figure(), row.format_bar(), row.reached)
        for row in rows
        if row.bar is not None
    ]
    lines = [titles, ["---"] * len(titles), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def get_header(bench):
    """What somebody has to know to judge the figures."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = Path("/proc/meminfo").read_text().split()[1]
    with lib.maintenance() as cr:
        cr.execute(
            "SELECT current_setting('server_version'), current_setting('fsync'),"
            " current_setting('synchronous_commit'),"
            " current_setting('shared_buffers')"
        )
        version, fsync, commit, buffers = cr.fetchone()
    return [
        f"{bench.size:,} open invoices, {bench.runs} runs, in turn.",
        "",
        f"- {datetime.now():%Y-%m-%d}, commit {get_commit()}, Odoo {release.version}",
        f"- {cpu}, {lib.os.cpu_count()} cores, {int(memory) / 2**20:.0f} GB, load "
        f"{lib.os.getloadavg()[0]:.1f} at the start, Python "
        f"{platform.python_version()}",
        f"- PostgreSQL {version}: fsync {fsync}, synchronous_commit {commit}, "
        f"shared_buffers {buffers}",
    ]


def get_commit():
    def git(*args):
        command = ["git", "-C", str(ROOT), *args]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    # What a run writes by itself changes nothing of what it measures.
    others = (".", ":!benchmarks/results", ":!README.md")
    status = git("status", "--porcelain", "-uno", "--", *others)
    changed = " with changes" if status else ""
    return git("rev-parse", "--short", "HEAD") + changed


# --- files ----------------------------------------------------------------------


def get_name(size):
    for factor, unit in ((1_000_000, "M"), (1000, "k")):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def write(bench, header, rows, partial=False):
    """Write table, figures and plot; parts alone replace their rows only.

    :return: the name of the file with the table
    """
    RESULTS.mkdir(exist_ok=True)
    name = get_name(bench.size)
    figures = RESULTS / f"{name}.json"
    commit = f"{get_commit()}, {datetime.now():%Y-%m-%d}"
    for row in rows:
        row.commit = row.commit or commit
    if partial and figures.exists():
        found = {row.key: row for row in rows}
        old = [Row(**values) for values in json.loads(figures.read_text())["rows"]]
        rows = [found.pop(row.key, row) for row in old] + list(found.values())
    content = {
        "size": bench.size,
        "header": header,
        "rows": [asdict(row) for row in rows],
    }
    figures.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    others = sorted({row.commit for row in rows} - {commit})
    notes = [f"- {get_keys(rows, other)}: measured at {other}" for other in others]
    lines = [f"# Benchmark of {name} open invoices", "", *header, *notes, ""]
    table = RESULTS / f"{name}.md"
    table.write_text("\n".join([*lines, format_table(rows), ""]))
    if bench.size == README_SIZE:
        update_readme(rows)
    draw()
    return table.relative_to(ROOT)


def get_keys(rows, commit):
    return ", ".join(row.key for row in rows if row.commit == commit)


def update_readme(rows):
    readme = ROOT / "README.md"
    before, begin, rest = readme.read_text().partition(BEGIN)
    _old, end, after = rest.partition(END)
    if begin and end:
        table = f"\n\n{format_short_table(rows)}\n\n"
        readme.write_text(before + begin + table + end + after)


#: Curves of the plot: (key of the row, name of the curve, label)
CURVES = (
    ("enroll", "ours", "first enrollment"),
    ("enroll", "INSERT … SELECT", "the same rows by INSERT … SELECT"),
    ("reconcile", "ours", "full reconcile, nothing to change"),
    ("reconcile", "the same SELECT", "the SQL that reads the same"),
    ("daily", "many", "daily run, 1 % due"),
    ("simulate", "ours", "simulation of 30 days"),
)


def draw():
    """Cost against size, of all results there are."""
    try:
        import matplotlib
    except ImportError:
        print("No plot: matplotlib is not there.")
        return
    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "dunning"
    _figure, axes = pyplot.subplots(figsize=(8, 5))
    results = [json.loads(path.read_text()) for path in RESULTS.glob("*.json")]
    for key, curve, label in CURVES:
        points = sorted(
            (result["size"], row["curves"][curve])
            for result in results
            for row in result["rows"]
            if row["key"] == key and row["curves"] and curve in row["curves"]
        )
        if points:
            style = "--" if "S" in curve else "-"
            axes.plot(*zip(*points, strict=True), style, marker="o", label=label)
    axes.set(xscale="log", yscale="log", xlabel="open invoices", ylabel="seconds")
    axes.grid(True, which="both", alpha=0.2)
    if axes.lines:
        axes.legend(fontsize="small")
    pyplot.tight_layout()
    pyplot.savefig(RESULTS / "cost.svg", metadata={"Date": None})
