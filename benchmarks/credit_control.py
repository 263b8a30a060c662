"""From due to queued, against OCA's `account_credit_control`: the same invoices.

Ours: the whole daily run. Theirs: run, lines, communications and mails, without the
PDF. One mail a customer, none of them sent.
"""

from odoo import fields

from . import database, lib, report


def get_ours(count):
    def ours(env, clock):
        database.make_due(env, count)
        env.cr.execute("DELETE FROM dunning_mark")  # of setting it up
        with clock:
            reminders = env["dunning.enrollment"]._run(fields.Date.today())
            env.cr.commit()
        check(len(reminders), count)
        clock.count = count

    return ours


def get_theirs(count):
    def theirs(env, clock):
        database.make_due(env, count)
        # Only queued, as ours.
        env = env(context={"mail_notify_force_send": False})
        before = env["mail.mail"].search_count([])
        with clock:
            run = env["credit.control.run"].create({"date": fields.Date.today()})
            run.generate_credit_lines()
            run.set_to_ready_lines()
            run.run_channel_action()
            env.cr.commit()
        check(env["mail.mail"].search_count([]) - before, count)
        clock.count = count

    return theirs


def check(found, wanted):
    if found != wanted:
        raise SystemExit(f"{found} mails were written, not {wanted}.")


def run(bench):
    count = max(10, bench.size // 20)
    clocks = lib.run_in_turn(
        {
            "ours": lib.Subject(get_ours(count), bench.database("ours")),
            "account_credit_control": lib.Subject(
                get_theirs(count), bench.database("other")
            ),
        },
        bench.runs,
    )
    return [
        report.compare(
            "credit_control",
            f"{count:,} from due to queued, against account_credit_control",
            clocks,
            "ours",
            "account_credit_control",
            per="reminder",
            bar=0.1,
        )
    ]
