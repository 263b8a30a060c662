"""Which query uses which of our indexes, with its plan at size.

    MODULE=benchmarks.plans SIZE=20k benchmarks/run

The engine, the screens and deletions do their work in a database whose every plan
PostgreSQL tells (auto_explain). For each index the first plan that uses it is shown;
an index that no plan uses costs each write something and gives nothing.
"""

import contextlib
import os
import re

import odoo
from odoo import fields
from odoo.tools import config

from . import database, lib, report
from .deeds import DEEDS
from .settings import get_bench
from .sink import sink

#: Lines of a plan that are shown around the index.
SHOWN = 14
DB = f"{lib.WORK}_plans"


class Plans:
    """Takes what PostgreSQL says to its clients, and keeps the plans."""

    def __init__(self, indexes):
        self.first = dict.fromkeys(indexes)
        self.used = dict.fromkeys(indexes, 0)
        self.doing = ""

    def append(self, notice):
        if "plan:" not in notice:
            return
        for name in set(re.findall(r"Scan (?:Backward )?(?:using|on) (\w+)", notice)):
            if name in self.used:
                self.used[name] += 1
                self.first[name] = self.first[name] or (self.doing, notice)


@contextlib.contextmanager
def listening(plans):
    """Let each connection that Odoo opens tell its plans."""
    init = odoo.sql_db.Cursor.__init__

    def __init__(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self._cnx.notices = plans

    odoo.sql_db.Cursor.__init__ = __init__
    try:
        yield
    finally:
        odoo.sql_db.Cursor.__init__ = init


def explain_all():
    """Make PostgreSQL tell the plan of each statement, those of triggers included."""
    with lib.maintenance() as cr:
        for name, value in {
            "session_preload_libraries": "auto_explain",
            "client_min_messages": "log",
            "auto_explain.log_min_duration": "0",
            "auto_explain.log_analyze": "on",
            "auto_explain.log_buffers": "on",
            "auto_explain.log_nested_statements": "on",
        }.items():
            if name.startswith("auto_explain"):
                cr.execute("LOAD 'auto_explain'")
            cr.execute(f'ALTER DATABASE "{DB}" SET {name} = %s', [value])


def get_indexes(env):
    """Return {name: (table, definition, is unique)} of our indexes.

    Without those that Odoo makes by itself for each many-to-many relation.
    """
    tables = {
        model._table
        for model in env.values()
        if not model._transient and not model._abstract
    }
    env.cr.execute(
        """
        SELECT class.relname, own.relname, pg_get_indexdef(index.indexrelid),
               index.indisunique
          FROM pg_index index
          JOIN pg_class class ON class.oid = index.indexrelid
          JOIN pg_class own ON own.oid = index.indrelid
         WHERE class.relname LIKE '%%dunning%%' AND NOT index.indisprimary
           AND own.relkind = 'r'
      ORDER BY own.relname, class.relname
        """
    )
    return {name: row for name, *row in env.cr.fetchall() if row[0] in tables}


# --- what is done ---------------------------------------------------------------


def fill_small_tables(env, size):
    """What years leave behind: holds, hand-overs, days of posting."""
    env.cr.execute(
        """
        INSERT INTO dunning_attempt (message_id, attempt, started_at)
        SELECT message_id, 1, now() - interval '10 days' FROM dunning_reminder;
        INSERT INTO dunning_hold (partner_id, company_id, kind, since, closed_on,
                                  last_day)
        SELECT id, %(company)s, 'pause', %(today)s::date - 30,
               CASE WHEN id %% 10 > 0 THEN %(today)s::date - 20 END,
               %(today)s::date + 10
          FROM res_partner WHERE id %% 20 = 0;
        INSERT INTO dunning_mark (kind, res_id, day)
        SELECT 'posted', id, %(today)s FROM account_move WHERE id %% 4 = 0;
        INSERT INTO dunning_day (company_id, day)
        SELECT %(company)s, %(today)s::date - n FROM generate_series(1, 30) n
        """,
        {"company": env.company.id, "today": fields.Date.today()},
    )
    env.cr.commit()
    env.cr.execute("ANALYZE")
    env.cr.commit()


def live(name, plans, count, port):
    """Do it all; what fails is said, and the others go on."""
    config["smtp_server"], config["smtp_port"] = "127.0.0.1", port
    with lib.environment(name) as env:
        database.make_due(env, count)
    for doing, act in DEEDS.items():
        plans.doing = doing
        with lib.environment(name) as env:
            try:
                with env.cr.savepoint():
                    act(env)
                    env.flush_all()
            except Exception as error:
                print(f"  {doing}: {type(error).__name__}: {error}", flush=True)
    return plans.first, plans.used


# --- what is told ---------------------------------------------------------------


def shorten(notice, index):
    """The statement in one line, and the lines of the plan around the index."""
    text = notice.partition("plan:")[2]
    query, _newline, plan = text.partition("\n")
    lines = text.strip().splitlines()
    start = next(
        (i for i, line in enumerate(lines) if re.search(r"\(cost=", line)), len(lines)
    )
    query = " ".join(" ".join(lines[:start]).split()).removeprefix("Query Text: ")
    plan = lines[start:]
    at = next(i for i, line in enumerate(plan) if index in line and "Scan" in line)
    first = max(0, at - 2)
    shown = plan[first : first + SHOWN]
    return query[:300], "\n".join(line.rstrip()[:150] for line in shown)


def tell(indexes, first, used):
    lines = []
    for name, (table, definition, unique) in indexes.items():
        definition = definition.partition(" USING ")[2]
        lines += [f"## {name}", "", f"`{table}` {definition}", ""]
        if not first[name]:
            why = "guards uniqueness" if unique else "**no plan uses it**"
            lines += [why, ""]
            continue
        doing, notice = first[name]
        doing = doing or "the preparation"
        query, plan = shorten(notice, name)
        lines += [f"{used[name]} plans; first: {doing}.", "", "```"]
        lines += [query, "", plan, "```", ""]
    return "\n".join(lines)


def main():
    bench = get_bench()
    header = report.get_header(bench)
    lib.copy_db(bench.database("ours"), DB)
    with lib.environment(DB) as env:
        indexes = get_indexes(env)
        fill_small_tables(env, bench.size)
    explain_all()
    plans = Plans(indexes)
    count = max(10, min(200, bench.size // 100))
    with sink() as port, listening(plans):
        first, used = lib.in_child(live, DB, plans, count, port)
    lib.drop_db(DB)
    unused = [name for name in indexes if not used[name]]
    print(f"{len(indexes)} indexes; used by no plan: {', '.join(unused) or 'none'}")
    report.RESULTS.mkdir(exist_ok=True)
    path = report.RESULTS / f"plans-{report.get_name(bench.size)}.md"
    title = f"# Plans that use our indexes, {report.get_name(bench.size)} open invoices"
    path.write_text("\n".join([title, "", *header[2:], "", tell(indexes, first, used)]))
    print(f"Written to {os.path.relpath(path)}")


main()
