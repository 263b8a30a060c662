"""The databases: open invoices in any number, made with `odoo populate`.

A few customers and posted invoices are made with the ORM, as a person would make
them; `odoo populate` copies them. No instalment is due for a reminder; each benchmark
makes as many due as it needs.

=================  =============================================================
bench_plain_SIZE   customers, open invoices, and drafts to be posted
bench_ours_SIZE    the same, with our addon, enrolled as of yesterday
bench_other_SIZE   the same, with `account_credit_control`
=================  =============================================================
"""

import subprocess
import sys
from datetime import timedelta
from unittest.mock import patch

import odoo
from odoo import Command, fields
from odoo.cli.populate import Populate
from odoo.modules.registry import Registry
from odoo.tools import config
from odoo.tools import populate as populate_tool

from . import lib

#: Invoices made with the ORM, two a customer; all others are copies of these.
BASE = 200
#: Drafts to be posted, at least.
DRAFTS = 500
#: Due dates lie in so many days, the first of them four days ago.
WINDOW, OVERDUE = 60, 4
#: The first reminder leaves five days after the due date, the notice three before.
FIRST, NOTICE = 5, -3
#: Appended to names by `odoo populate`: addresses must stay addresses.
SEPARATOR = "x"

OURS = "dunning_sequences"
OTHER = "account_credit_control"


def get_base(size):
    """Return (invoices to make, times to copy them)."""
    base = min(BASE, max(2, size // 10 * 2))
    return base, max(0, round(size / base) - 1)


def prepare(kind, size, key):
    """Return the name of a database, made now unless it is there.

    :param kind: ``plain``, ``ours`` or ``other``
    :param key: what it depends on beside this file: see `benchmarks/run`
    """
    name = f"bench_{kind}_{size}"
    note = f"{key} {fields.Date.today()}"
    if lib.get_note(name) == note:
        return name
    print(f"  making the database {name}…", flush=True)
    if kind == "plain":
        lib.copy_db("template_account", name)
        lib.in_child(fill, name, size)
    else:
        lib.copy_db(prepare("plain", size, key), name)
        install(name, OURS if kind == "ours" else OTHER)
        lib.in_child(enroll if kind == "ours" else follow_up, name)
    lib.vacuum(name)
    lib.set_note(name, note)
    return name


def install(name, addon):
    """By Odoo's own command line: what is in memory here would be in the way."""
    odoo.sql_db.close_all()
    addons_path = ",".join(map(str, config["addons_path"]))
    subprocess.run(
        [sys.executable, "-m", "odoo", "-c", config["config"], "-d", name]
        + ["-i", addon, "--stop-after-init", "--no-http", "--log-level=warn"]
        + [f"--addons-path={addons_path}"],
        check=True,
    )


# --- invoices -------------------------------------------------------------------


def fill(name, size):
    base, factor = get_base(size)
    with lib.environment(name) as env:
        set_up_company(env)
        customers = make_customers(env, base // 2)
        drafts = -(-DRAFTS // (factor + 1))
        invoices = make_invoices(env, customers, base + drafts)
        invoices[:base].action_post()
    if factor:
        with lib.environment(name, active_test=False) as env:
            # Copies are spread over the days before their original.
            first = populate_tool.MAX_DATETIME - timedelta(days=WINDOW)
            with patch.object(populate_tool, "MIN_DATETIME", first):
                models = {"res.partner": factor, "account.move": factor}
                Populate.populate(env, models, ord(SEPARATOR))
        with lib.environment(name) as env:
            # Not shown to anybody, so that `odoo populate` copies it as it is.
            env.cr.execute("UPDATE res_partner SET email_normalized = LOWER(email)")
            env.cr.execute("UPDATE account_move SET access_token = gen_random_uuid()")


def set_up_company(env):
    env.company.write({"email": "company@bench.example.com", "phone": "+1 555 0100"})
    env.ref("base.user_admin").email = "admin@bench.example.com"


def make_customers(env, count):
    return env["res.partner"].create(
        [
            {
                "name": f"Customer {number}",
                "is_company": True,
                "email": f"c{number}@customer.example",
                "street": f"{number} Main Street",
                "city": "Springfield",
            }
            for number in range(count)
        ]
    )


def make_invoices(env, customers, count):
    """Drafts, one instalment each, all due on the last day of the window."""
    due = fields.Date.today() + timedelta(days=WINDOW - OVERDUE)
    work = {"name": "Work", "tax_ids": [Command.clear()]}
    return env["account.move"].create(
        [
            {
                "move_type": "out_invoice",
                "partner_id": customers[number % len(customers)].id,
                "invoice_date": due - timedelta(days=WINDOW),
                "invoice_date_due": due,
                "invoice_payment_term_id": False,
                "invoice_line_ids": [
                    Command.create(dict(work, price_unit=100 + number))
                ],
            }
            for number in range(count)
        ]
    )


# --- ours -----------------------------------------------------------------------


def enroll(name):
    """Everybody follows the ready-made sequence; notices were sent on their days."""
    with lib.environment(name) as env:
        today = fields.Date.today()
        company = env.company
        company.write(
            {"dunning_tz": "UTC", "dunning_hour_from": 0, "dunning_hour_to": 24}
        )
        sequence = env.ref("dunning_sequences.dunning_sequence_standard")
        sequence.action_start()
        company.dunning_sequence_id = sequence
        env.flush_all()
        env.cr.precommit.clear()
        # It has been so for long.
        long_ago = today - timedelta(days=100)
        sequence.started_on = company.dunning_since = long_ago
        # Nothing is due today.
        shift_due_dates(env, "= %(today)s - %(notice)s", "+ 1")
        write_history(env, "move.invoice_date_due < %(today)s - %(notice)s")
        env.flush_all()
        env.cr.precommit.clear()
        env["dunning.enrollment"]._reconcile_company(company, yesterday())
        env.cr.execute("DELETE FROM dunning_mark")  # of setting it up


def yesterday():
    return fields.Date.today() - timedelta(days=1)


def get_values(env):
    return {
        "today": fields.Date.today(),
        "notice": NOTICE,
        "first": FIRST,
        "company": env.company.id,
        "sequence": env.ref("dunning_sequences.dunning_sequence_standard").id,
        "step": env.ref("dunning_sequences.dunning_sequence_standard_notice").id,
    }


def shift_due_dates(env, condition, shift):
    env.cr.execute(
        f"""
        WITH moved AS (
            UPDATE account_move SET invoice_date_due = invoice_date_due {shift}
             WHERE state = 'posted' AND invoice_date_due {condition}
         RETURNING id, invoice_date_due)
        UPDATE account_move_line line SET date_maturity = moved.invoice_date_due
          FROM moved
         WHERE line.move_id = moved.id AND line.display_type = 'payment_term'
        """,
        {"today": fields.Date.today(), "notice": NOTICE},
    )


def write_history(env, condition, **values):
    """Courtesy notices that were sent, one an invoice."""
    env.cr.execute(
        f"""
        WITH noticed AS (
            SELECT move.*, line.id AS line_id,
                   nextval('dunning_reminder_id_seq') AS reminder_id
              FROM account_move move
              JOIN account_move_line line ON line.move_id = move.id
               AND line.display_type = 'payment_term'
             WHERE move.state = 'posted' AND {condition}
        ), reminder AS (
            INSERT INTO dunning_reminder (
                   id, partner_id, partner_name, company_id, sequence_id, step_id,
                   sequence_name, step_name, move_id, origin, channel, state, date,
                   sent_on, before_due, attempt, tries, message_id, grouping_key,
                   email_to, subject, body, create_date, write_date)
            SELECT reminder_id, commercial_partner_id, invoice_partner_display_name,
                   company_id, %(sequence)s, %(step)s, 'Standard reminders',
                   'Courtesy notice', id, 'auto', 'email', 'sent',
                   invoice_date_due + %(notice)s, invoice_date_due + %(notice)s, TRUE,
                   1, 0, '<notice-' || id || '@bench.example.com>', md5(id::text),
                   'customer@customer.example', 'Courtesy notice',
                   repeat('<p>What will soon be due.</p>', 40), now(), now()
              FROM noticed
        )
        INSERT INTO dunning_reminder_line (
               reminder_id, company_id, move_id, move_name, move_line_id, step_id,
               step_name, due_date, occurrence, amount, currency_id, counts,
               create_date, write_date)
        SELECT reminder_id, company_id, id, name, line_id, %(step)s,
               'Courtesy notice', invoice_date_due, 0, amount_residual, currency_id,
               TRUE, now(), now()
          FROM noticed
        """,
        get_values(env) | values,
    )


def make_due(env, count, only_future=False):
    """Let the first reminder of some invoices be due today, one a customer.

    As if the days had passed: the notice was sent, and yesterday's run saw it.

    :param only_future: nothing else that the customer owes is overdue
    :return: the invoices
    """
    env.cr.execute(
        """
        SELECT id FROM (
            SELECT DISTINCT ON (commercial_partner_id) id, invoice_date_due
              FROM account_move
             WHERE state = 'posted' AND move_type = 'out_invoice'
               AND invoice_date_due > %s
          ORDER BY commercial_partner_id, invoice_date_due DESC, id) one
      ORDER BY invoice_date_due DESC, id LIMIT %s
        """,
        [
            fields.Date.today() - timedelta(days=NOTICE if only_future else OVERDUE),
            count,
        ],
    )
    ids = [move_id for (move_id,) in env.cr.fetchall()]
    if len(ids) < count:
        raise SystemExit(f"There are only {len(ids)} customers, not {count}.")
    due = fields.Date.today() - timedelta(days=FIRST)
    env.cr.execute(
        """
        UPDATE account_move SET invoice_date_due = %(due)s,
               invoice_date = %(due)s::date - %(window)s WHERE id = ANY(%(ids)s);
        UPDATE account_move_line SET date_maturity = %(due)s
         WHERE move_id = ANY(%(ids)s) AND display_type = 'payment_term';
        """,
        {"ids": ids, "due": due, "window": WINDOW},
    )
    moves = env["account.move"].browse(ids)
    if OURS in env.registry._init_modules:
        forget(env, ids)
        write_history(env, "move.id = ANY(%(ids)s)", ids=ids)
        env["dunning.enrollment"]._reconcile(moves, yesterday())
    env.invalidate_all()
    env.cr.commit()
    env.cr.execute("ANALYZE account_move, account_move_line")
    env.cr.commit()
    return moves


def forget(env, move_ids):
    env.cr.execute(
        "DELETE FROM dunning_reminder WHERE move_id = ANY(%(ids)s);"
        "DELETE FROM dunning_enrollment WHERE move_id = ANY(%(ids)s)",
        {"ids": move_ids},
    )


# --- the other addon --------------------------------------------------------------


def follow_up(name):
    """All customers follow a policy of one level: a mail after as many days."""
    Registry(name)
    with lib.environment(name) as env:
        policy = env.ref("account_credit_control.credit_control_3_time")
        policy.account_ids = env["account.account"].search(
            [("account_type", "=", "asset_receivable")]
        )
        first, *others = policy.level_ids.sorted("level")
        env["credit.control.policy.level"].union(*others).unlink()
        first.write(
            {
                "computation_mode": "net_days",
                "delay_days": FIRST,
                "channel": "email",
                "mail_show_invoice_detail": True,
            }
        )
        # A mail only: no PDF.
        first.email_template_id.report_template_ids = False
        env.company.credit_policy_id = policy
