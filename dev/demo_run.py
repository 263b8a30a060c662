"""Run in `odoo shell` by dev/demo: sixty days of a company's payment reminders.

Each day: invoices are written, customers pay, `_run` decides and writes, more
customers pay, `_deliver` hands the mails to a real SMTP server, which keeps them.
Told is what happened; at the end the mails received are held against what the
reminders say, and what was due against the books.
"""

import logging
import os
import re
import sys
import textwrap
from collections import Counter, defaultdict
from datetime import datetime, time, timedelta
from pathlib import Path
from unittest.mock import patch

from freezegun import freeze_time
from freezegun.api import real_perf_counter as real_clock

import odoo
from odoo import Command, fields
from odoo.tools import config, formatLang

import odoo.addons.dunning_sequences as addon

sys.path.insert(0, str(Path(addon.__file__).resolve().parents[1]))
from dev import demo_data  # noqa: E402
from dev.inbox import Mail  # noqa: E402

REASONS_NOT_TOLD = ("leaving",)


class Warnings(logging.Handler):
    """Nothing may be worth a warning."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []
        logging.getLogger().addHandler(self)

    def emit(self, record):
        self.texts.append(f"{record.name}: {record.getMessage()}")


class Demo:
    def __init__(self, env):
        self.engine = env  # as the crons: OdooBot
        self.env = env(user=env.ref("base.user_admin"))
        self.company = self.env.company
        self.customers, self.invoices = {}, defaultdict(list)
        self.payments = defaultdict(list)
        self.told_day, self.standing = None, {}
        self.seconds, self.problems, self.problems_in_books = [], [], []

    # --- the clock ----------------------------------------------------------

    def moment(self, day):
        """In UTC, at nine or ten in Paris; the last day is today, and not later."""
        date = self.today - timedelta(days=demo_data.DAYS - day)
        return min(datetime.combine(date, time(8)), self.now)

    def go_to(self, day):
        self.day, self.date = day, self.moment(day).date()
        if day == demo_data.DAYS:
            self.date = self.today
        self.clock.move_to(self.moment(day))

    def date_of(self, day):
        return self.today - timedelta(days=demo_data.DAYS - day)

    # --- what there is before -----------------------------------------------

    def set_up(self):
        self.set_up_company()
        self.set_up_customers()
        self.coming = sorted(demo_data.read_invoices(), key=lambda i: i.issued)
        self.write_invoices()
        self.set_up_sequences()
        self.env.cr.commit()

    def set_up_company(self):
        ref = self.env.ref
        company = self.company
        for code in ("EUR", "USD", "GBP"):
            ref(f"base.{code}").active = True
        country = ref("base.fr")
        company.write(
            {
                **demo_data.COMPANY,
                "country_id": country.id,
                "currency_id": ref("base.EUR").id,
                "dunning_tz": "Europe/Paris",
            }
        )
        if "iap_enrich_auto_done" in company._fields:
            company.iap_enrich_auto_done = True  # asks a server on the internet
        self.env["res.partner.bank"].create(
            {
                "acc_number": demo_data.IBAN,
                "partner_id": company.partner_id.id,
                "allow_out_payment": True,
            }
        )
        for code, rate in demo_data.RATES.items():
            self.env["res.currency.rate"].create(
                {
                    "name": self.date_of(-200),
                    "currency_id": ref(f"base.{code}").id,
                    "rate": rate,
                }
            )
        self.tax = self.env["account.tax"].create(
            {"name": "20%", "amount": 20, "type_tax_use": "sale"}
        )
        self.instalments = self.env["account.payment.term"].create(
            {
                "name": "40 % in 30 days, 30 % in 60, 30 % in 90",
                "line_ids": [
                    Command.create({"value_amount": share, "nb_days": days})
                    for share, days in ((40, 30), (30, 60), (30, 90))
                ],
            }
        )
        self.bank = self.env["account.journal"].search(
            [("type", "=", "bank"), ("company_id", "=", company.id)], limit=1
        )
        name, email = demo_data.ACCOUNTANT
        self.accountant = (
            self.env["res.users"]
            .with_context(no_reset_password=True)
            .create(
                {
                    "name": name,
                    "login": "claire",
                    "email": email,
                    "phone": company.phone,
                    "group_ids": [
                        Command.link(ref("account.group_account_invoice").id)
                    ],
                }
            )
        )
        self.set_up_direct_debit()

    def set_up_direct_debit(self):
        """Community has no SEPA direct debit: a method of that name will do."""
        self.debit = (
            self.env["account.payment.method"]
            .sudo()
            .create(
                {
                    "name": "Direct debit",
                    "code": "demo_direct_debit",
                    "payment_type": "inbound",
                }
            )
        )
        self.debit_line = self.env["account.payment.method.line"].create(
            {
                "name": "Direct debit",
                "sequence": 99,
                "payment_method_id": self.debit.id,
                "journal_id": self.bank.id,
            }
        )

    def set_up_customers(self):
        Partner = self.env["res.partner"]
        for key, values, people in demo_data.read_customers():
            values["email"] = values["email"].strip("-")
            code = values.pop("country")
            lang = "fr_FR" if code == "FR" else "en_US"
            country = self.env["res.country"].search([("code", "=", code)])
            customer = Partner.create(
                {**values, "country_id": country.id, "lang": lang, "is_company": True}
            )
            for name, email, kind in people:
                Partner.create(
                    {
                        "name": name,
                        "email": email,
                        "parent_id": customer.id,
                        "lang": lang,
                        "type": "invoice" if kind == "invoice" else "contact",
                        "dunning_contact": kind == "star",
                    }
                )
            self.customers[key] = customer

    def set_up_sequences(self):
        Sequence = self.env["dunning.sequence"]
        domain = [("company_id", "=", self.company.id), ("state", "=", "draft")]
        standard = Sequence.search([*domain, ("grouping", "=", "customer")], limit=1)
        key = Sequence.search([*domain, ("grouping", "=", "invoice")], limit=1)
        standard.write({"require_sent": True, "min_amount": 10, "user_id": False})
        key.with_context(mail_auto_subscribe_no_notify=True).write(
            {"user_id": self.accountant.id, "min_contact_days": 7}
        )
        (standard + key).excluded_payment_method_ids = self.debit
        name, subject, body = demo_data.TYPED["en_US"]
        typed = self.env["dunning.sequence.step"].create(
            {
                "sequence_id": key.id,
                "sequence": 100,
                "name": name,
                "trigger": "previous",
                "delay": 10,
                "content": "text",
                "subject": subject,
                "body": body,
            }
        )
        name, subject, body = demo_data.TYPED["fr_FR"]
        typed.with_context(lang="fr_FR").write(
            {"name": name, "subject": subject, "body": body}
        )
        (standard + key).action_start()
        self.company.dunning_sequence_id = standard
        for customer in demo_data.KEY_ACCOUNTS:
            self.customers[customer].dunning_sequence_id = key
        for customer in demo_data.NO_REMINDERS:
            self.customers[customer].dunning_policy = "none"

    # --- what people do -------------------------------------------------------

    def write_invoices(self):
        """Those of the day; on the eve of the story also those of before."""
        rows = []
        while self.coming and self.coming[0].issued <= self.day:
            rows.append(self.coming.pop(0))
        Move = self.env["account.move"].with_context(tracking_disable=True)
        moves = Move.create([self.prepare_invoice(row) for row in rows])
        moves.action_post()
        for row, move in zip(rows, moves, strict=True):
            if "no_followup" in row.notes:
                move.no_followup = True
            move.is_move_sent = "unsent" not in row.notes
            self.invoices[row.customer].append(move)
            for payment in row.payments:
                day, _colon, amount = payment.partition(":")
                when = int(day.strip("+")), day.endswith("+")
                self.payments[when].append((move, amount and float(amount)))

    def prepare_invoice(self, row):
        partner = self.customers[row.customer]
        address = partner.address_get(["invoice"])["invoice"]
        currency = next(iter(row.notes & {"USD", "GBP"}), "EUR")
        term = self.instalments if "instalments" in row.notes else None
        return {
            "move_type": "out_invoice",
            "partner_id": address,
            "invoice_date": self.date_of(row.issued),
            "invoice_date_due": None if term else self.date_of(row.due),
            "invoice_payment_term_id": term and term.id,
            "currency_id": self.env.ref(f"base.{currency}").id,
            "preferred_payment_method_line_id": "debit" in row.notes
            and self.debit_line.id,
            "invoice_line_ids": [
                Command.create(
                    {
                        "name": "Furniture made to measure",
                        "price_unit": row.net,
                        "tax_ids": [Command.set(self.tax.ids)],
                    }
                )
            ],
        }

    def receive_payments(self, late=False):
        when = "; after the run, before delivery" if late else ""
        paid = []
        for move, amount in self.payments.pop((self.day, late), ()):
            wizard = (
                self.env["account.payment.register"]
                .with_context(
                    active_model="account.move",
                    active_ids=move.ids,
                    tracking_disable=True,  # twice as fast
                )
                .create({"amount": amount} if amount else {})
            )
            wizard._create_payments()
            if move.amount_residual:
                left = self.format(move.amount_residual, move.currency_id)
                amount = self.format(amount, move.currency_id)
                about = f"{move.name} ({amount})"
                self.tell("paid in part", about, f"{self.who(move)}, {left} left{when}")
            else:
                paid.append(f"{move.name} {self.who(move)}")
        if paid:
            self.tell("paid", ", ".join(paid) + when)

    def act(self):
        """What the story has in store for this day."""
        for day, what, key, number, detail in demo_data.STORY:
            if day == self.day:
                customer = self.customers[key]
                move = number and self.invoices[key][number - 1]
                getattr(self, f"act_{what}")(customer, move, detail)

    def act_address(self, customer, move, email):
        customer.email = email
        failed = self.env["dunning.reminder"].search(
            [("partner_id", "=", customer.id), ("state", "=", "failed")]
        )
        if failed:
            failed.action_retry()
        what = "retry" if failed else "new address"
        numbers = self.numbers(failed.line_ids.move_id)
        self.tell(what, numbers, f"{customer.name} has the address {email}")

    def act_start_anyway(self, customer, move, _detail):
        move.dunning_enrollment_ids.action_start_anyway()
        self.tell("start anyway", move.name, customer.name)

    def act_pause(self, customer, move, until):
        customer.dunning_paused = True
        customer.dunning_pause_until = self.date_of(until)
        self.tell("pause", "", f"{customer.name}, until {self.date_of(until)}")

    def act_pause_invoice(self, customer, move, until):
        move.write(
            {
                "dunning_paused": True,
                "dunning_pause_until": self.date_of(until),
                "dunning_pause_reason": "The director is on leave",
            }
        )
        self.tell("pause", move.name, f"{customer.name}, until {self.date_of(until)}")

    def act_copy(self, customer, move, email):
        move.dunning_email_cc = email

    def act_block(self, customer, move, _detail):
        move.action_toggle_block_payment()
        self.tell("blocked", move.name, customer.name)

    def act_unblock(self, customer, move, _detail):
        move.action_toggle_block_payment()
        self.tell("unblocked", move.name, customer.name)

    def act_bounce_cheque(self, customer, move, _detail):
        payments = move.matched_payment_ids
        payments.action_draft()
        payments.action_cancel()
        self.tell("cheque bounced", move.name, customer.name)

    # --- the days ---------------------------------------------------------------

    def play(self):
        for day in range(1, demo_data.DAYS + 1):
            self.go_to(day)
            self.write_invoices()
            self.act()
            self.receive_payments()
            self.env.cr.commit()
            start = real_clock()
            self.run()
            self.env.cr.commit()
            spent = real_clock() - start
            self.receive_payments(late=True)
            self.env.cr.commit()
            start = real_clock()
            reminders = self.deliver()
            self.env.cr.commit()
            self.seconds.append((spent, real_clock() - start))
            for reminder in reminders:
                self.tell_reminder(reminder)
                self.check_books(reminder)
            self.tell_held()
            self.env.cr.commit()

    def run(self):
        return self.engine["dunning.enrollment"]._run(today=self.date)

    def deliver(self):
        deliver = self.engine["dunning.reminder"]._deliver
        if self.day != demo_data.MAIL_SERVER_DOWN:
            return deliver(now=self.moment(self.day))
        with patch.dict(config.options, {"smtp_port": 9}):
            return deliver(now=self.moment(self.day))

    # --- telling ------------------------------------------------------------------

    def tell(self, what, about="", rest=""):
        head = " " * 18
        if self.told_day != self.day:
            self.told_day = self.day
            head = f"day {self.day:2}  {self.date}"
        print(f"{head}  {what:15}  {about:40} {rest}".rstrip())

    def tell_reminder(self, reminder):
        lines = reminder._get_current_lines()
        amounts = reminder._format_amounts(lines, "amount")
        about = f"{self.numbers(lines.move_id)} ({amounts})"
        if reminder.state == "sent":
            to = "-> " + reminder.email_to.replace('"', "")
            if reminder.email_cc:
                to += f", cc {reminder.email_cc}"
            if reminder.refused:
                to += f", refused {self.first_line(reminder.refused.split()[1])}"
            self.tell(reminder.step_name, about, to)
        else:
            what = {"queued": "not yet"}.get(reminder.state, reminder.state)
            reason = self.first_line(reminder.failure_reason)
            who = reminder.partner_id.name
            self.tell(what, about, f"{who}, {reminder.step_name}: {reason}")

    def tell_held(self):
        """Who waits since today, and why."""
        enrollments = self.env["dunning.enrollment"].search(
            [], order="move_id, due_date"
        )
        news = defaultdict(lambda: self.env["account.move"])
        for enrollment in enrollments:
            reason = None
            if enrollment.state in ("held", "todo"):
                reason = enrollment.hold_reason
            if reason in REASONS_NOT_TOLD:
                continue
            if reason and reason != self.standing.get(enrollment.id):
                about = (enrollment.partner_id, enrollment.explanation)
                news[about] |= enrollment.move_id
            self.standing[enrollment.id] = reason
        for (partner, explanation), moves in news.items():
            self.tell("held", self.numbers(moves), f"{partner.name}: {explanation}")

    def numbers(self, moves):
        """INV/2026/00012, 13, 17"""
        first, *others = moves.sorted("id").mapped("name") or [""]
        return ", ".join([first, *(name.split("/")[-1][-3:] for name in others)])

    def who(self, move):
        return move.commercial_partner_id.name

    def format(self, amount, currency):
        return formatLang(self.env, amount, currency_obj=currency)

    def first_line(self, text):
        """What a mail server says in brackets is no news either."""
        return (text or "").strip().split("\n")[0].split(" (")[0]

    # --- totals and checks --------------------------------------------------------

    def check(self, what, fine, *problems):
        if not fine:
            self.problems.append(what)
        print(f"  {'ok' if fine else 'WRONG':6} {what}")
        for problem in problems[:5]:
            print(f"         {problem}")

    def check_books(self, reminder):
        """At this moment each instalment in a mail is open, with that amount."""
        if reminder.state != "sent":
            return
        for line in reminder._get_current_lines():
            self.env.cr.execute(
                """
                SELECT SUM(amount_residual_currency) FROM account_move_line
                 WHERE move_id = %s AND date_maturity = %s
                   AND display_type = 'payment_term'
                """,
                [line.move_id.id, line.due_date],
            )
            (open_amount,) = self.env.cr.fetchone()
            if not open_amount or line.currency_id.compare_amounts(
                float(open_amount), line.amount
            ):
                self.problems_in_books.append(
                    f"{line.move_name}: {line.amount} asked for, {open_amount} open"
                )

    def tell_totals(self):
        reminders = self.env["dunning.reminder"].search([])
        enrollments = self.env["dunning.enrollment"].search([])
        sent = reminders.filtered(lambda r: r.state == "sent")
        moves = sum(len(moves) for moves in self.invoices.values())
        print(
            f"\nAfter {demo_data.DAYS} days: {len(self.customers)} customers, "
            f"{moves} invoices, {len(enrollments)} instalments followed"
        )
        reasons = dict(
            enrollments._fields["hold_reason"]._description_selection(self.env)
        )

        def get_standing(enrollment):
            reason = reasons.get(enrollment.hold_reason)
            return enrollment.state + (f" ({reason.lower()})" if reason else "")

        self.tell_counts("reminders", reminders.mapped("state"))
        self.tell_counts("sent", sent.mapped("step_name"))
        self.tell_counts("languages", sent.mapped("lang"))
        self.tell_counts("instalments", map(get_standing, enrollments))

    def tell_counts(self, what, values):
        counts = [f"{count} {name}" for name, count in sorted(Counter(values).items())]
        text = textwrap.fill("; ".join(counts), 88, subsequent_indent=" " * 15)
        print(f"  {what:12} {text}")

    def check_all(self):
        reminders = self.env["dunning.reminder"].search([])
        sent = reminders.filtered(lambda r: r.state == "sent")
        mails = [Mail(path) for path in Path(os.environ["DUNNING_INBOX"]).glob("*.eml")]
        ids = [mail.header("Message-Id").strip() for mail in mails]
        by_id = dict(zip(ids, mails, strict=True))
        print("\nChecks")
        self.check(
            f"{len(mails)} mails in the inbox = {len(sent)} reminders sent",
            len(mails) == len(sent) > 0,
        )
        self.check(
            f"{len(set(ids))} different Message-Ids, the reminders' own",
            len(set(ids)) == len(ids) and set(ids) == set(sent.mapped("message_id")),
        )
        wrong = [r for r in sent if not self.is_as_said(r, by_id.get(r.message_id))]
        self.check(
            "each mail went to those named on its reminder, and names its invoices",
            not wrong,
            *(f"{r.message_id}: {r.email_to}" for r in wrong),
        )
        self.check(
            "nobody got a mail about what he had paid, and each amount was right",
            not self.problems_in_books,
            *self.problems_in_books,
        )
        steps = Counter(
            (line.move_name, str(line.due_date), line.step_id.name, line.occurrence)
            for line in sent.line_ids
            if not line.dropped
        )
        twice = [key for key, count in steps.items() if count > 1]
        self.check("no instalment got a step twice", not twice, *twice)
        days = Counter((r.grouping_key, str(r.sent_on)) for r in sent)
        names = {r.grouping_key: r.partner_id.name for r in sent}
        twice = [(names[key], day) for (key, day), count in days.items() if count > 1]
        self.check("no customer got two mails of one kind on a day", not twice, *twice)
        lost = reminders.filtered(lambda r: r.state in ("queued", "doubtful"))
        self.check("no reminder is left behind or in doubt", not lost)

    def is_as_said(self, reminder, mail):
        if not mail:
            return False
        named = ",".join(
            filter(None, (reminder.email_to, reminder.email_cc, reminder.email_bcc))
        )
        refused = set(re.findall(r"^(\S+@\S+): ", reminder.refused or "", re.MULTILINE))
        wanted = set(re.findall(r"[\w.+-]+@[\w.-]+", named)) - refused
        text = mail.body("html") or ""
        return set(mail.recipients) == wanted and all(
            line.move_name in text for line in reminder._get_current_lines()
        )

    def tell_seconds(self, total):
        run, deliver = (sum(column) for column in zip(*self.seconds, strict=True))
        print(
            f"\n{demo_data.DAYS} days in {total:.0f} s: _run {run:.1f} s, "
            f"_deliver {deliver:.1f} s, the rest is bookkeeping."
        )

    def main(self):
        started = real_clock()
        warnings = Warnings()
        self.now = fields.Datetime.now()
        self.company.dunning_tz = "Europe/Paris"
        self.today = self.company._dunning_today(self.now)
        with (
            freeze_time(self.moment(0)) as self.clock,
            patch.object(
                odoo.sql_db.BaseCursor, "now", lambda _cr: fields.Datetime.now()
            ),
        ):
            self.go_to(0)
            self.set_up()
            print(
                f"{self.company.name}: {demo_data.DAYS} days, "
                f"{self.date_of(1)} to {self.today}\n"
            )
            self.play()
            again = self.run() + self.deliver()
            self.env.cr.commit()
        self.tell_totals()
        self.check_all()
        self.check("run once more on the last day: nothing leaves", not again)
        self.check("no warning in Odoo's log", not warnings.texts, *warnings.texts)
        self.tell_seconds(real_clock() - started)
        return 1 if self.problems else 0


sys.stdout.reconfigure(line_buffering=True)
status = Demo(env).main()
sys.stdout.flush()
if status:
    sys.exit(status)
