"""Full reconcile when nothing has changed: what reading alone costs, and memory."""

from odoo import fields
from odoo.tools import split_every

from odoo.addons.dunning_sequences.models.dunning_enrollment import CHUNK

from . import lib, report


def ours(env, clock):
    """All invoices of the company, as the first run of a day does it."""
    before = lib.get_peak_memory()
    with clock:
        env["dunning.enrollment"]._reconcile_company(env.company, fields.Date.today())
    clock.notes["before"] = before


def same_select(env, clock):
    """Read the same rows by the same statement, and do nothing with them."""
    Enrollment = env["dunning.enrollment"].sudo()
    today = fields.Date.today()
    with clock:
        env.cr.execute(
            """
            SELECT id FROM account_move
             WHERE company_id = %(company)s AND state = 'posted'
               AND move_type IN ('out_invoice', 'out_receipt')
               AND payment_state IN ('not_paid', 'partial', 'in_payment', 'blocked')
            UNION
            SELECT move_id FROM dunning_enrollment
             WHERE company_id = %(company)s AND state != 'stopped'
            """,
            {"company": env.company.id},
        )
        for ids in split_every(CHUNK, sorted(row[0] for row in env.cr.fetchall())):
            env.cr.execute(Enrollment._get_instalments_sql(list(ids), today, {}))
            env.cr.fetchall()


def plain_read(env, clock):
    """Read invoices, instalments and enrollments, and nothing else."""
    with clock:
        env.cr.execute(
            """
            SELECT move.id, move.state, move.payment_state, move.company_id,
                   move.invoice_date, move.is_move_sent, move.commercial_partner_id,
                   line.id, line.date_maturity, line.amount_residual,
                   line.amount_residual_currency, line.no_followup, enrollment.*
              FROM account_move move
              JOIN account_move_line line
                ON line.move_id = move.id AND line.display_type = 'payment_term'
         LEFT JOIN dunning_enrollment enrollment
                ON enrollment.move_id = move.id
               AND enrollment.due_date = line.date_maturity
             WHERE move.company_id = %s AND move.state = 'posted'
               AND move.move_type IN ('out_invoice', 'out_receipt')
               AND move.payment_state IN
                   ('not_paid', 'partial', 'in_payment', 'blocked')
            """,
            [env.company.id],
        )
        while env.cr.fetchmany(CHUNK):
            pass


def run(bench):
    name, small = bench.database("ours"), bench.database("ours", bench.size // 50)
    clocks = lib.run_in_turn(
        {
            "ours": lib.Subject(ours, name, writes=False),
            "the same SELECT": lib.Subject(same_select, name, writes=False),
            "a plain join": lib.Subject(plain_read, name, writes=False),
            "small": lib.Subject(ours, small, writes=False),
        },
        bench.runs,
    )
    peaks = [clock.peak for clock in clocks["ours"]]
    small_peak = lib.typical(clocks["small"], lambda clock: clock.peak)
    return [
        report.compare(
            "reconcile",
            f"full reconcile of {bench.size:,}, against its reading alone",
            clocks,
            "ours",
            "the same SELECT",
            bar=3,
        ),
        report.compare(
            "reconcile_join",
            f"full reconcile of {bench.size:,}, against a join without decisions",
            clocks,
            "ours",
            "a plain join",
        ),
        report.Row(
            "memory",
            f"memory of the process, full reconcile of {bench.size:,}",
            f"{lib.median(peaks):.0f} MB",
            f"{small_peak:.0f} MB with {bench.size // 50:,}",
            peaks,
            unit="MB",
            bar=300,
        ),
        report.Row(
            "memory_growth",
            f"memory: {bench.size:,} against {bench.size // 50:,}",
            f"{lib.median(peaks):.0f} MB",
            f"{small_peak:.0f} MB",
            lib.get_ratios(clocks["ours"], clocks["small"], lambda c: c.peak),
            bar=1.2,
        ),
    ]
