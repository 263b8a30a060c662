"""A daily run: as many due among many open invoices, and among few.

By the cron itself, so with its commits; from "due" to "about to leave".
"""

from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry

from . import database, lib, report


def run_cron(name, xmlid):
    """As `ir.cron` does it, but without asking whether it is time."""
    with Registry(name).cursor() as cr:
        cron = api.Environment(cr, SUPERUSER_ID, {}).ref(xmlid)
        job = cron._acquire_one_job(cr, cron.id, include_not_ready=True)
        if job:
            type(cron)._process_job(cr, job)


def get_act(count):
    def act(name, clock):
        with lib.environment(name) as env:
            database.make_due(env, count)
            env.company.dunning_day_factor = 0  # it is an unusual day, on purpose
            env.flush_all()
            env.cr.precommit.run()
            # What was set up is followed already; only the day itself is measured.
            env.cr.execute("DELETE FROM dunning_mark")
        with clock:
            # The cron works in slices, each of which commits.
            for _slice in range(1000):
                run_cron(name, "dunning_sequences.ir_cron_dunning_run")
                with lib.environment(name) as env:
                    queued = env["dunning.reminder"].search_count(
                        [("state", "=", "queued")]
                    )
                if queued == count:
                    break
            else:
                raise SystemExit(f"{queued} reminders were written, not {count}.")
        clock.count = count

    return act


def run(bench):
    due = bench.size // 100
    few_size = bench.size // 49  # two invoices a customer, and some to spare
    many = bench.database("ours")
    few = bench.database("ours", few_size)
    clocks = lib.run_in_turn(
        {
            "many": lib.Subject(get_act(due), many, by_name=True),
            "few": lib.Subject(get_act(due), few, by_name=True),
        },
        bench.runs,
    )
    what = f"daily run, {due:,} due: among {bench.size:,}, among {few_size:,}"
    return [report.compare("daily", what, clocks, "many", "few", bar=1.3)]
