"""Writing reminders, against Odoo's own ways to write the same mails.

Ours writes the reminder, its line, the message on the invoice and its notification,
and locks and asks again before; Odoo's write the message and the mail.
"""

from functools import partial
from pathlib import Path

from lxml import html

from odoo import fields

from . import database, lib, report

#: Our first reminder, as somebody would write it for invoices.
TEXT = Path(__file__).parent / "first_reminder.html"
URL = (
    "{{ object.get_base_url() }}{{ object.get_portal_url("
    "query_string='&amp;payment=True', anchor='portal_pay') }}"
)


def make_template(env):
    return env["mail.template"].create(
        {
            "name": "Bench",
            "model_id": env["ir.model"]._get_id("account.move"),
            "subject": "{{ object.company_id.name }}: reminder, "
            "invoice {{ object.name }}",
            "email_from": "{{ object.company_id.email_formatted }}",
            "partner_to": "{{ object.partner_id.id }}",
            "lang": "{{ object.partner_id.lang }}",
            "body_html": TEXT.read_text().replace("PORTAL_URL", URL),
            "auto_delete": True,
        }
    )


def get_words(body):
    """What a reader sees, and where it leads him."""
    tree = html.fragment_fromstring(str(body), create_parent="div")
    links = [link for *_element, link, _position in tree.iterlinks()]
    return " ".join(tree.text_content().split()), links


def ours(count, env, clock):
    database.make_due(env, count, only_future=True)
    Enrollment = env["dunning.enrollment"]
    today = fields.Date.today()
    with clock:
        for partner_ids in Enrollment._get_due_chunks(env.company, today):
            Enrollment._run_chunk(env.company, today, partner_ids, None)
            env.cr.commit()
    reminders = env["dunning.reminder"].search([("state", "=", "queued")])
    check(len(reminders), count)
    clock.count = count
    clock.notes["words"] = get_words(reminders[0].body)
    clock.notes["move"] = reminders[0].move_id.id


def send_mail_batch(count, env, clock):
    moves, template = prepare(count, env)
    with clock:
        mails = template.send_mail_batch(moves.ids, force_send=False)
        env.cr.commit()
    note(mails, count, clock)


def message_mail_with_source(count, env, clock):
    moves, template = prepare(count, env)
    with clock:
        mails = moves.message_mail_with_source(template, force_send=False)
        env.cr.commit()
    note(mails, count, clock)


def prepare(count, env):
    moves = database.make_due(env, count, only_future=True)
    template = make_template(env)
    env.cr.commit()
    return moves, template


def note(mails, count, clock):
    check(len(mails), count)
    clock.count = count
    clock.notes["words"] = {mail.res_id: get_words(mail.body_html) for mail in mails}


def bare_loop(count, env, clock):
    """A mail per invoice with a text that is there: nothing is rendered."""
    moves, template = prepare(count, env)
    text = template._render_field("body_html", moves[:1].ids)[moves[0].id]
    moves.partner_id.mapped("email")
    with clock:
        for move in moves:
            env["mail.mail"].create(
                {
                    "model": "account.move",
                    "res_id": move.id,
                    "subject": f"Reminder, invoice {move.name}",
                    "body_html": text,
                    "email_from": "company@bench.example.com",
                    "email_to": move.partner_id.email,
                }
            )
        env.cr.commit()
    clock.count = count


def plain_sql(count, env, clock):
    """The rows that ours writes, by SQL, with a text that is there."""
    moves, template = prepare(count, env)
    text = template._render_field("body_html", moves[:1].ids)[moves[0].id]
    env.cr.commit()
    with clock:
        env.cr.execute(PLAIN_SQL, {"ids": moves.ids, "text": str(text)})
        env.cr.commit()
    clock.count = count


SUBJECTS = {
    "ours": ours,
    "send_mail_batch": send_mail_batch,
    "message_mail_with_source": message_mail_with_source,
    "mail.mail.create in a loop": bare_loop,
    "plain SQL": plain_sql,
}


def get_subjects(database_name, count):
    return {
        name: lib.Subject(partial(act, count), database_name)
        for name, act in SUBJECTS.items()
    }


PLAIN_SQL = """
WITH one AS (
    SELECT move.*, nextval('dunning_reminder_id_seq') AS reminder_id,
           nextval('mail_message_id_seq') AS message_id
      FROM account_move move WHERE id = ANY(%(ids)s)
), message AS (
    INSERT INTO mail_message (id, model, res_id, subject, body,
                              message_type, message_id, email_from, date,
                              create_date, write_date)
    SELECT message_id, 'account.move', id, 'Reminder', %(text)s,
           'email_outgoing', '<' || id || '@bench.example.com>',
           'company@bench.example.com', now(), now(), now()
      FROM one
), reminder AS (
    INSERT INTO dunning_reminder (id, partner_id, company_id, move_id, origin, channel,
                                  state, date, attempt, tries, message_id, subject,
                                  body, mail_message_id, create_date, write_date)
    SELECT reminder_id, partner_id, company_id, id, 'auto', 'email', 'queued',
           invoice_date_due, 0, 0, '<' || id || '@bench.example.com>', 'Reminder',
           %(text)s, message_id, now(), now()
      FROM one
), notification AS (
    INSERT INTO mail_notification (mail_message_id, res_partner_id,
                                   notification_type, notification_status)
    SELECT message_id, partner_id, 'email', 'ready' FROM one
)
INSERT INTO dunning_reminder_line (reminder_id, company_id, move_id, move_name,
                                   due_date, occurrence, amount, currency_id, counts,
                                   create_date, write_date)
SELECT reminder_id, company_id, id, name, invoice_date_due, 0, amount_residual,
       currency_id, TRUE, now(), now()
  FROM one
"""


def check(found, wanted):
    if found != wanted:
        raise SystemExit(f"{found} mails were written, not {wanted}.")


def check_words(clocks):
    """They say the same."""
    for ours, theirs in zip(clocks["ours"], clocks["send_mail_batch"], strict=True):
        mine = ours.notes["words"]
        other = theirs.notes["words"][ours.notes["move"]]
        if mine != other:
            raise SystemExit(f"The texts differ:\n{mine}\n{other}")


def run(bench):
    count = max(10, min(1000, bench.size // 20))
    clocks = lib.run_in_turn(get_subjects(bench.database("ours"), count), bench.runs)
    check_words(clocks)
    rows = []
    for name, key, bar in (
        ("send_mail_batch", "compose", 0.4),
        ("message_mail_with_source", "compose_source", None),
        ("mail.mail.create in a loop", "compose_loop", None),
        ("plain SQL", "compose_sql", None),
    ):
        what = f"composing {count:,} reminders, against {name}"
        rows.append(
            report.compare(key, what, clocks, "ours", name, per="reminder", bar=bar)
        )
    return rows
