"""Queries of a run, chunk by chunk: they must not grow with the reminders."""

from statistics import median
from unittest.mock import patch

import odoo
from odoo import fields

from . import database, lib, report


def get_act(count):
    def act(env, clock):
        database.make_due(env, count)
        Enrollment = type(env["dunning.enrollment"])
        compose = Enrollment._compose_partners
        queries = []

        def counting(self, company, partner_ids, *args):
            before = odoo.sql_db.sql_counter
            result = compose(self, company, partner_ids, *args)
            self.env.flush_all()
            queries.append((len(partner_ids), odoo.sql_db.sql_counter - before))
            return result

        with patch.object(Enrollment, "_compose_partners", counting), clock:
            reminders = env["dunning.enrollment"]._run(fields.Date.today())
        if len(reminders) != count:
            raise SystemExit(f"{len(reminders)} reminders were written, not {count}.")
        clock.count = count
        clock.notes["queries"] = queries

    return act


def get_queries(clock):
    """Queries of a whole chunk."""
    largest = max(customers for customers, _queries in clock.notes["queries"])
    return median(
        queries for customers, queries in clock.notes["queries"] if customers == largest
    )


def run(bench):
    name = bench.database("ours")
    few, many = (max(10, min(n, bench.size // 5)) for n in (100, 1000))
    clocks = lib.run_in_turn(
        {
            "few": lib.Subject(get_act(few), name),
            "many": lib.Subject(get_act(many), name),
        },
        1,  # queries do not depend on the weather
    )
    (fewer,), (more,) = clocks["few"], clocks["many"]
    return [
        report.Row(
            "chunks",
            f"queries of a chunk, in a run of {few:,} and of {many:,} reminders",
            f"{get_queries(more):.0f} queries, {len(more.notes['queries'])} chunks",
            f"{get_queries(fewer):.0f} queries, {len(fewer.notes['queries'])} chunks",
            [get_queries(more) / get_queries(fewer)],
            bar=1,
        )
    ]
