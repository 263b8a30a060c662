"""First enrollment of all, against a bare INSERT … SELECT of as many rows."""

from odoo import fields

from . import lib, report


def empty(env):
    """Nobody is enrolled yet."""
    env.cr.execute("TRUNCATE dunning_enrollment")
    env.cr.commit()


def ours(env, clock):
    empty(env)
    with clock:
        env["dunning.enrollment"]._reconcile_company(env.company, fields.Date.today())
        env.cr.commit()


def insert_select(env, clock):
    """The same columns, filled with what is at hand."""
    empty(env)
    sequence = env.ref("dunning_sequences.dunning_sequence_standard")
    with clock:
        env.cr.execute(
            """
            INSERT INTO dunning_enrollment (
                   move_id, due_date, move_line_id, partner_id, company_id,
                   sequence_id, entered_on, first_step_id, catch_up, next_step_id,
                   next_date, occurrence, state, create_uid, create_date, write_uid,
                   write_date)
            SELECT move.id, line.date_maturity, line.id, move.commercial_partner_id,
                   move.company_id, %(sequence)s, %(today)s, %(step)s, 'crossing',
                   %(step)s, line.date_maturity + 5, 0, 'running', 1, now(), 1, now()
              FROM account_move move
              JOIN account_move_line line ON line.move_id = move.id
             WHERE move.company_id = %(company)s AND move.state = 'posted'
               AND move.move_type IN ('out_invoice', 'out_receipt')
               AND move.payment_state IN ('not_paid', 'partial')
               AND line.display_type = 'payment_term'
            """,
            {
                "sequence": sequence.id,
                "step": sequence.step_ids[0].id,
                "today": fields.Date.today(),
                "company": env.company.id,
            },
        )
        env.cr.commit()


def run(bench):
    # Each run empties the table first: no copies are needed.
    name = f"{lib.WORK}_enroll"
    lib.copy_db(bench.database("ours"), name)
    clocks = lib.run_in_turn(
        {
            "ours": lib.Subject(ours, name, writes=False),
            "INSERT … SELECT": lib.Subject(insert_select, name, writes=False),
        },
        bench.runs,
    )
    lib.drop_db(name)
    what = f"first enrollment of {bench.size:,}, against INSERT … SELECT"
    return [
        report.compare("enroll", what, clocks, "ours", "INSERT … SELECT", bar=3),
    ]
