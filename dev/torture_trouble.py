"""Very many due invoices, and a twentieth of them broken in every way that is known.

    python -m dev.torture_trouble ODOO.CONF DATABASE

The others leave, as fast as if nothing were broken. What is broken leaves all the same,
or a person sees it, with the reason. Once it is repaired, it leaves.
"""

import os
import time
from collections import Counter
from datetime import timedelta

from odoo import Command, fields
from odoo.tools import SQL

from dev import torture_lib
from dev.torture_lib import environment, fork

INVOICES = int(os.environ.get("TROUBLE", 10_000))
#: One in so many is broken.
BROKEN = 20
#: How much longer each of the others may take beside broken ones.
SLOWER = 2.5
#: Seconds after which nothing is waited for any more.
TIMEOUT = 3600


class Trouble:
    """Something broken in a few invoices; a subclass for each.

    `sequence` is what they follow instead of the company's default, if it is that
    which is broken.
    """

    #: How they end: "waits" for a person, "leaves", "stops", or "either" of the first
    #: two.
    expected = "either"
    #: What their sequence is made with; None: they follow the company's default.
    sequence_vals = None
    step_vals = {}

    def __init__(self, env, invoice_ids):
        self.invoice_ids = invoice_ids
        self.sequence_id = False
        if self.sequence_vals is not None:
            self.sequence_id = self.create_sequence(env).id
        self.prepare(env, self.get_invoices(env))

    def get_invoices(self, env):
        return env["account.move"].browse(self.invoice_ids)

    def get_sequence(self, env):
        return env["dunning.sequence"].browse(self.sequence_id)

    def create_sequence(self, env):
        default = env.company.dunning_sequence_id
        step = {
            "name": "S1",
            "delay": 7,
            "content": "text",
            "subject": "Invoice {{ invoice_number }}.",
            "body": "<p>{{ amount_due }}</p>",
            **self.step_vals,
        }
        sequence = torture_lib.set_up_sequence(
            env, step_ids=[Command.create(step)], **self.sequence_vals
        )
        env.company.dunning_sequence_id = default
        self.get_invoices(env).partner_id.dunning_sequence_id = sequence
        return sequence

    def prepare(self, env, invoices):
        """Before the engine sees them."""

    def break_(self, env, invoices):
        """Once they are enrolled."""

    def repair(self, env, invoices):
        """As a person does it who has read the reason."""


def update(env, records, **values):
    """By SQL, as imports, other programs and accidents do it."""
    env.flush_all()
    for name, value in values.items():
        env.cr.execute(
            SQL(
                "UPDATE %s SET %s = %s WHERE id = ANY(%s)",
                SQL.identifier(records._table),
                SQL.identifier(name),
                value,
                records.ids,
            )
        )
    env.invalidate_all()


# --- customers ------------------------------------------------------------------------


class NoAddress(Trouble):
    expected = "waits"

    def break_(self, env, invoices):
        update(env, invoices.partner_id, email=None, email_normalized=None)

    def repair(self, env, invoices):
        for invoice in invoices:
            invoice.partner_id.email = f"c{invoice.id}@customer.example.com"


class BrokenAddress(NoAddress):
    def break_(self, env, invoices):
        update(env, invoices.partner_id, email="call him, no mail", email_normalized="")


class AddressThatIsNone(NoAddress):
    """An address that passes as one, and that no server can take."""

    def break_(self, env, invoices):
        bad = "two@@at.example"
        update(env, invoices.partner_id, email=bad, email_normalized=bad)


class LanguageNotInstalled(Trouble):
    expected = "leaves"

    def break_(self, env, invoices):
        update(env, invoices.partner_id, lang="de_DE")


class LanguageUnknown(LanguageNotInstalled):
    def break_(self, env, invoices):
        update(env, invoices.partner_id, lang="xx_XX")


class ArchivedCustomer(Trouble):
    def break_(self, env, invoices):
        invoices.partner_id.active = False

    def repair(self, env, invoices):
        invoices.partner_id.active = True


class NoNames(Trouble):
    def break_(self, env, invoices):
        update(env, invoices.partner_id, complete_name=None, name="")
        update(env, invoices, invoice_partner_display_name=None)

    def repair(self, env, invoices):
        invoices.partner_id.name = "Name"


# --- invoices -------------------------------------------------------------------------


class NullsOfAnImport(Trouble):
    expected = "leaves"

    def break_(self, env, invoices):
        update(
            env,
            invoices,
            invoice_date=None,
            payment_reference=None,
            invoice_user_id=None,
            access_token=None,
            invoice_payment_term_id=None,
            partner_shipping_id=None,
            invoice_partner_display_name=None,
        )


class NoDueDate(Trouble):
    """Then the day of the entry counts, or a person is asked."""

    def break_(self, env, invoices):
        update(env, invoices, invoice_date_due=None)
        lines = invoices.line_ids.filtered(lambda r: r.display_type == "payment_term")
        update(env, lines, date_maturity=None)

    def repair(self, env, invoices):
        due = fields.Date.today() - timedelta(days=7)
        lines = invoices.line_ids.filtered(lambda r: r.display_type == "payment_term")
        lines.date_maturity = due


class NoNumber(Trouble):
    def break_(self, env, invoices):
        update(env, invoices, name=None)

    def repair(self, env, invoices):
        for invoice in invoices:
            update(env, invoice, name=f"INV/{invoice.id}")


class ArchivedJournal(Trouble):
    expected = "leaves"

    def break_(self, env, invoices):
        journal = invoices.journal_id[:1].copy({"code": "OLD"})
        update(env, invoices, journal_id=journal.id)
        update(env, invoices.line_ids, journal_id=journal.id)
        update(env, journal, active=False)


class ArchivedBankAccount(Trouble):
    expected = "leaves"

    def break_(self, env, invoices):
        account = env["res.partner.bank"].create(
            {"acc_number": "OLD-1", "partner_id": env.company.partner_id.id}
        )
        update(env, invoices, partner_bank_id=account.id)
        account.active = False


class NoCurrencyRate(Trouble):
    def break_(self, env, invoices):
        currency = env["res.currency"].create({"name": "XTS", "symbol": "¤"})
        update(env, invoices, currency_id=currency.id)
        update(env, invoices.line_ids, currency_id=currency.id)


class BrokenPaymentTerm(Trouble):
    expected = "leaves"

    def break_(self, env, invoices):
        term = env["account.payment.term"].create({"name": "Broken"})
        update(env, invoices, invoice_payment_term_id=term.id)
        env.cr.execute(
            "DELETE FROM account_payment_term_line WHERE payment_id = %s", [term.id]
        )


class ResponsibleArchived(Trouble):
    expected = "leaves"
    sequence_vals = {"name": "Nobody's"}

    def break_(self, env, invoices):
        user = env["res.users"].create({"name": "Gone", "login": "gone@example.com"})
        update(env, self.get_sequence(env), user_id=user.id)
        update(env, invoices, invoice_user_id=user.id)
        update(env, user, active=False)


# --- texts ----------------------------------------------------------------------------


class BrokenTypedText(Trouble):
    expected = "waits"
    sequence_vals = {"name": "Broken text"}

    def break_(self, env, invoices):
        step = self.get_sequence(env).step_ids
        update(env, step, body='{"en_US": "<p>{{ amount_due </p>"}')

    def repair(self, env, invoices):
        self.get_sequence(env).step_ids.body = "<p>{{ amount_due }}</p>"


class NoTranslation(Trouble):
    """The text has no word in the language that the source is kept in."""

    expected = "waits"
    sequence_vals = {"name": "Without words"}

    def break_(self, env, invoices):
        update(env, self.get_sequence(env).step_ids, body='{"en_US": ""}')

    def repair(self, env, invoices):
        self.get_sequence(env).step_ids.body = "<p>{{ amount_due }}</p>"


class TemplateFails(Trouble):
    """For these invoices only: the others of the same template are well."""

    expected = "waits"
    sequence_vals = {"name": "Template"}

    def create_sequence(self, env):
        body = '<p>Due <t t-if="object.move_id.ref == \'boom\'" t-out="1 / 0"/></p>'
        template = env["mail.template"].create(
            {
                "name": "Torture",
                "model_id": env["ir.model"]._get_id("dunning.reminder"),
                "subject": "Due",
                "body_html": body,
            }
        )
        self.step_vals = {"content": "template", "template_id": template.id}
        return super().create_sequence(env)

    def break_(self, env, invoices):
        update(env, invoices, ref="boom")

    def repair(self, env, invoices):
        update(env, invoices, ref=None)


class AttachmentMissing(TemplateFails):
    """A file of the template is not on the disk any more."""

    sequence_vals = {"name": "Attachment"}

    def break_(self, env, invoices):
        template = self.get_sequence(env).step_ids.template_id
        attachment = env["ir.attachment"].create(
            {"name": "terms.pdf", "raw": b"terms" * 1000}
        )
        update(env, attachment, store_fname="00/0000")
        template.attachment_ids = attachment

    def repair(self, env, invoices):
        template = self.get_sequence(env).step_ids.template_id
        template.attachment_ids.raw = b"terms"


class PdfMissing(Trouble):
    """The invoice's own PDF is not on the disk any more."""

    expected = "waits"
    sequence_vals = {"name": "PDF", "attach_invoice": True}

    def break_(self, env, invoices):
        for invoice in invoices:
            attachment = env["ir.attachment"].create(
                {
                    "name": f"{invoice.id}.pdf",
                    "raw": b"%PDF-1.4",
                    "res_model": "account.move",
                    "res_id": invoice.id,
                    "res_field": "invoice_pdf_report_file",
                }
            )
            update(env, attachment, store_fname=f"00/{invoice.id}")

    def repair(self, env, invoices):
        invoices.invalidate_recordset()
        files = env["ir.attachment"].search(
            [("res_model", "=", "account.move"), ("res_id", "in", invoices.ids)]
            + [("res_field", "=", "invoice_pdf_report_file")]
        )
        files.raw = b"%PDF-1.4"


# --- settings -------------------------------------------------------------------------


class MailServerArchived(Trouble):
    def create_sequence(self, env):
        server = env["ir.mail_server"].search([], limit=1).copy({"name": "Old"})
        self.sequence_vals = {"name": "Old server", "mail_server_id": server.id}
        return super().create_sequence(env)

    sequence_vals = {}

    def break_(self, env, invoices):
        update(env, self.get_sequence(env).mail_server_id, active=False)

    def repair(self, env, invoices):
        self.get_sequence(env).mail_server_id = False


class StepDeleted(Trouble):
    """By SQL, in the middle of the day: nobody was asked to stop it first."""

    sequence_vals = {"name": "Step deleted"}

    def break_(self, env, invoices):
        steps = self.get_sequence(env).step_ids
        env.cr.execute("DELETE FROM dunning_sequence_step WHERE id = %s", [steps.id])
        env.invalidate_all()

    def repair(self, env, invoices):
        step = {"name": "S1", "delay": 7, "subject": "S", "body": "<p>B</p>"}
        self.get_sequence(env).step_ids = [Command.create({**step, "content": "text"})]


class SequenceDeleted(Trouble):
    """In the middle of the day: its customers follow the company's default then."""

    expected = "leaves"
    sequence_vals = {"name": "Sequence deleted"}

    def break_(self, env, invoices):
        sequence = self.get_sequence(env)
        sequence.action_stop()
        sequence.unlink()


class SequenceDeletedBySql(Trouble):
    """Its customers have none then, and their invoices say so."""

    expected = "stops"
    sequence_vals = {"name": "Sequence deleted by SQL"}

    def break_(self, env, invoices):
        env.cr.execute("DELETE FROM dunning_sequence WHERE id = %s", [self.sequence_id])
        env.invalidate_all()

    def repair(self, env, invoices):
        own = env.company.dunning_sequence_id
        invoices.partner_id.write(
            {"dunning_policy": "own", "dunning_sequence_id": own.id}
        )


def get_kinds(kind=Trouble):
    for child in kind.__subclasses__():
        yield child
        yield from get_kinds(child)


# --- what happens ---------------------------------------------------------------------


def set_up(database, port, broken):
    """:return: the ids of all invoices, and the troubles among them"""
    with environment(database) as env:
        invoice_ids = torture_lib.set_up(env, port, INVOICES)
        kinds = list(get_kinds()) if broken else []
        each = max(1, INVOICES // BROKEN // max(1, len(kinds)))
        # Spread: each chunk of work gets some.
        chosen = invoice_ids[:: INVOICES // (each * len(kinds))] if kinds else []
        troubles = [
            kind(env, sorted(chosen[number :: len(kinds)][:each]))
            for number, kind in enumerate(kinds)
        ]
        env.cr.commit()
        env["dunning.enrollment"]._drain_marks()
        env["dunning.enrollment"]._reconcile()
        env.cr.commit()
        for trouble in troubles:
            trouble.break_(env, trouble.get_invoices(env))
            env.flush_all()
            env.cr.commit()
    return invoice_ids, troubles


def work_off(database, args):
    """Run the crons as a server with two workers does.

    :return: (seconds of writing, seconds of sending)
    """
    started = time.monotonic()
    run_in_process(database, ["reconcile", "run"], is_written)
    written = time.monotonic()
    others = fork(send, database, "send_2")
    run_in_process(database, ["send"], is_sent)
    os.waitpid(others, 0)
    return written - started, time.monotonic() - written


def run_in_process(database, names, is_done):
    process_id = fork(run_until, database, names, is_done)
    _process_id, status = os.waitpid(process_id, 0)
    if status:
        raise SystemExit(f"{names} did not come to an end.")


def run_until(database, names, is_done):
    deadline = time.monotonic() + TIMEOUT
    for _round in range(1000):
        for name in names:
            torture_lib.run_cron(database, name)
        if is_done(database):
            return
        if time.monotonic() > deadline:
            raise SystemExit(1)


def send(database, name):
    run_until(database, [name], is_sent)


def is_sent(database):
    """What the server does not take is tried again later: nobody waits for it."""
    with environment(database) as env:
        return not env["dunning.reminder"].search_count(
            [("state", "=", "queued"), ("next_try", "=", False)], limit=1
        )


def is_written(database):
    """Nothing that is due was left: what cannot be written has said so."""
    with environment(database) as env:
        env.cr.execute(
            "SELECT COUNT(*) FROM dunning_enrollment"
            " WHERE state = 'running' AND next_date <= CURRENT_DATE"
        )
        [left] = env.cr.fetchone()
    before, is_written.left = getattr(is_written, "left", None), left
    return not left or left == before


# --- what came out --------------------------------------------------------------------


def get_outcome(env, invoice_ids):
    """Return {invoice: "left", "waits: WHY" or what is wrong}."""
    env.cr.execute(
        """
        SELECT move.id, enrollment.id, reminder.state, reminder.failure_reason
          FROM account_move move
     LEFT JOIN dunning_enrollment enrollment ON enrollment.move_id = move.id
     LEFT JOIN dunning_reminder_line line ON line.move_id = move.id AND line.counts
     LEFT JOIN dunning_reminder reminder ON reminder.id = line.reminder_id
         WHERE move.id = ANY(%s) ORDER BY line.id
        """,
        [list(invoice_ids)],
    )
    rows = env.cr.fetchall()
    enrollments = env["dunning.enrollment"].browse(
        sorted({row[1] for row in rows if row[1]})
    )
    waits = {e.id: e.explanation for e in enrollments if e.state in ("todo", "held")}
    stops = {e.id: e.explanation for e in enrollments if e.state == "stopped"}
    outcome = {}
    for move_id, enrollment_id, state, reason in rows:
        if state in ("sent", "doubtful"):
            outcome[move_id] = "left"
        elif waits.get(enrollment_id):
            outcome[move_id] = f"waits: {waits[enrollment_id]}"
        elif state == "queued" and reason:
            outcome[move_id] = f"waits: to be tried again, {reason}"
        elif stops.get(enrollment_id):
            outcome[move_id] = f"stops: {stops[enrollment_id]}"
        elif not enrollment_id:
            outcome[move_id] = "NOT SEEN: no enrollment"
        else:
            found = enrollments.browse(enrollment_id)
            outcome[move_id] = f"NOT SEEN: {found.state}, {found.hold_reason}, {state}"
    return outcome


def check(env, invoice_ids, troubles):
    """Yield the problems; print what became of each trouble."""
    outcome = get_outcome(env, invoice_ids)
    broken = {move_id for trouble in troubles for move_id in trouble.invoice_ids}
    others = Counter(outcome[i] for i in invoice_ids if i not in broken)
    print("  others:", dict(others))
    for state, count in others.items():
        if state != "left":
            yield f"{count} of those in order: {state}"
    for trouble in troubles:
        name = type(trouble).__name__
        states = Counter(outcome[move_id] for move_id in trouble.invoice_ids)
        print(f"  {name}: {dict(states)}".replace("\n", " ")[:250])
        for state, count in states.items():
            ends = "leaves" if state == "left" else state.partition(":")[0]
            either = trouble.expected == "either" and ends in ("leaves", "waits")
            if ends != trouble.expected and not either:
                yield f"{name}: {count} {state}, expected: {trouble.expected}"


def repair(database, troubles):
    with environment(database) as env:
        for trouble in troubles:
            trouble.repair(env, trouble.get_invoices(env))
            env.flush_all()
        env.cr.commit()
        ids = [move_id for trouble in troubles for move_id in trouble.invoice_ids]
        moves = env["account.move"].browse(ids)
        env["dunning.enrollment"]._drain_marks()
        # It leaves by itself at its next try: nobody waits for that here.
        env.cr.execute("UPDATE dunning_reminder SET next_try = NULL")
        failed = env["dunning.reminder"].search(
            [("move_id", "in", ids), ("state", "=", "failed")]
        )
        failed.action_retry()
        env["dunning.enrollment"]._reconcile(moves)
        env.cr.commit()
    is_written.left = None


def main():
    started = time.monotonic()
    args = torture_lib.parse_arguments(__doc__.splitlines()[0])
    clean = f"{args.database}_clean"
    torture_lib.copy_database(args.database, clean)
    problems, seconds = [], {}
    with torture_lib.inbox(args.folder) as port:
        for database in (clean, args.database):
            broken = database != clean
            invoice_ids, troubles = set_up(database, port, broken)
            seconds[broken] = work_off(database, args)
            print(
                f"{INVOICES} invoices{' with troubles' if broken else ''}: written in "
                f"{seconds[broken][0]:.0f} s, sent in {seconds[broken][1]:.0f} s"
            )
            with environment(database) as env:
                problems += check(env, invoice_ids, troubles)
            if not broken:
                torture_lib.drop_database(clean)
        for number, what in enumerate(("written", "sent")):
            ratio = seconds[True][number] / seconds[False][number]
            print(f"{what}: {ratio:.2f} times the time without troubles")
            if ratio > SLOWER:
                problems.append(f"{what} {ratio:.1f} times slower beside broken ones")
        repair(args.database, troubles)
        work_off(args.database, args)
        print("Repaired:")
        for trouble in troubles:
            trouble.expected = "leaves"
        with environment(args.database) as env:
            problems += check(env, invoice_ids, troubles)
    problems += torture_lib.get_failed_jobs(args.log)
    torture_lib.end(problems, started)


if __name__ == "__main__":
    main()
