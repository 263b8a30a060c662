"""What the tests of the reminders share: a clock, a mail server, small factories."""

import socket
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from unittest.mock import patch

import freezegun

from odoo import SUPERUSER_ID, Command, api, fields
from odoo.tests import freeze_time, new_test_user, tagged

from odoo.addons.account.tests.common import AccountTestInvoicingCommon

from .smtp import Sink

#: The day on which each test begins; everything that matters comes later. Days are
#: written as "03-08", in the year of this one.
START = date(2026, 1, 5)


def to_date(day):
    """Return the date of a "03-08" (or of a date, or of nothing)."""
    return date.fromisoformat(f"{START.year}-{day}") if isinstance(day, str) else day


def to_text(day):
    return day and f"{day:%m-%d}"


# How long a test takes is measured by the real clock.
freezegun.configure(extend_ignore_list=["_pytest.", "hypothesis."])


@tagged("post_install", "-at_install")
class DunningCommon(AccountTestInvoicingCommon):
    """A company of its own, a frozen clock and a mail server on loopback.

    Steps are named S1, S2… and typed; a reminder of a grouped mail shows with each of
    its invoices. Mails are in ``self.sink.mails``, oldest first.
    """

    @classmethod
    def setup_independent_company(cls, **kwargs):
        """The main company where nobody uses it yet: a chart of accounts takes long."""
        company = cls.env.ref("base.main_company")
        invoice = cls.env["account.move"].search(
            [("company_id", "=", company.id)], limit=1
        )
        if company.chart_template and not invoice:
            return company
        return super().setup_independent_company(**kwargs)

    @classmethod
    def setUpClass(cls):
        freezer = freeze_time(datetime.combine(START, time(10)))
        cls.clock = freezer.start()
        cls.addClassCleanup(freezer.stop)
        super().setUpClass()
        cls.company.write(
            {
                "name": "Test Company",
                "email": "company@test.example.com",
                "dunning_tz": "UTC",
            }
        )
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.stop)
        cls._set_up_mail_server()
        cls.Enrollment = cls.env["dunning.enrollment"]
        cls.Reminder = cls.env["dunning.reminder"]
        cls.root = api.Environment(cls.cr, SUPERUSER_ID, {})
        cls.customer = cls._create_customer("Azure")

    @classmethod
    def _set_up_mail_server(cls):
        cls.env["ir.mail_server"].search([]).unlink()
        cls.mail_server = cls.env["ir.mail_server"].create(
            {
                "name": "Sink",
                "smtp_host": "127.0.0.1",
                "smtp_port": cls.sink.port,
                "smtp_encryption": "none",
                # Else Odoo may send in the name of a notification address.
                "from_filter": "test.example.com",
            }
        )
        cls.startClassPatcher(
            patch.object(
                cls.env.registry["ir.mail_server"], "_disable_send", lambda _self: False
            )
        )

    def setUp(self):
        super().setUp()
        # The journal is written on a connection of its own: here, on this one.
        self.env.flush_all()
        self.registry_enter_test_mode()
        self.sink.clear()
        self.travel(START)

    # ------------------------------------------------------------------------
    # CLOCK
    # ------------------------------------------------------------------------

    @classmethod
    def travel(cls, day, hour=10.0):
        """Set the clock to an hour (UTC) of a day."""
        moment = datetime.combine(to_date(day), time())
        cls.clock.move_to(moment + timedelta(hours=hour))

    @classmethod
    def now(cls):
        return fields.Datetime.now()

    @classmethod
    def today(cls):
        return fields.Date.today()

    # ------------------------------------------------------------------------
    # FACTORIES
    # ------------------------------------------------------------------------

    @classmethod
    def _create_sequence(cls, steps=((7,), (14,), (30,)), start=True, **vals):
        """Create a sequence, and start it today.

        :param steps: (delay,), (delay, trigger) or a dict of values for each
        :param start: False leaves it in draft
        :param prefix: of the names of the steps: S1, S2…
        :param default: all customers of the company follow it
        """
        prefix, default = vals.pop("prefix", "S"), vals.pop("default", False)
        sequence = cls.env["dunning.sequence"].create(
            {
                "name": "Sequence",
                "company_id": cls.company.id,
                "user_id": False,
                "step_ids": [
                    Command.create(cls._prepare_step(prefix, number, step))
                    for number, step in enumerate(steps, 1)
                ],
                **vals,
            }
        )
        if start:
            sequence.action_start()
        if default:
            sequence.company_id.dunning_sequence_id = sequence
        return sequence

    @classmethod
    def _create_default(cls, *steps, **vals):
        """Create and start a sequence that all customers of the company follow."""
        return cls._create_sequence(steps, default=True, **vals)

    @classmethod
    def _prepare_step(cls, prefix, number, step):
        if not isinstance(step, dict):
            step = dict(zip(("delay", "trigger"), step, strict=False))
        name = f"{prefix}{number}"
        return {
            "name": name,
            "sequence": number * 10,
            "content": "text",
            "subject": f"{name} {{{{ invoice_number }}}}",
            "body": f"<p>{name}: {{{{ amount_due }}}} since {{{{ due_date }}}}, "
            "{{ days_late }} days</p>",
            **step,
        }

    @classmethod
    def _create_customer(cls, name="Customer", **vals):
        return cls.env["res.partner"].create(
            {
                "name": name,
                "is_company": True,
                "email": f"{name.lower().replace(' ', '.')}@customer.example.com",
                "lang": "en_US",
                **vals,
            }
        )

    @classmethod
    def _create_contact(cls, customer, name, **vals):
        return cls._create_customer(
            name, parent_id=customer.id, is_company=False, **vals
        )

    @classmethod
    def _create_user(cls, login, groups="", **vals):
        return new_test_user(
            cls.env,
            login=f"dunning_{login}",
            groups=",".join(filter(None, ("base.group_user", groups))),
            **{
                "name": login.title(),
                "email": f"{login}@test.example.com",
                "company_id": cls.company.id,
                "company_ids": [Command.set(cls.company.ids)],
                **vals,
            },
        )

    @classmethod
    def _create_invoice_due(cls, due, amount=100.0, customer=None, **vals):
        """Post an invoice, today, with one due date; invoiced 30 days before it."""
        due = to_date(due)
        post = vals.pop("post", True)
        values = {
            "partner_id": customer or cls.customer,
            "invoice_date": due - timedelta(days=30),
            "invoice_date_due": due,
            "company_id": cls.env.company,
            **vals,
        }
        return cls._create_invoice_one_line(
            price_unit=amount,
            name="Work",
            tax_ids=cls.env["account.tax"],
            post=post,
            **values,
        )

    @classmethod
    def _create_invoice_in_instalments(cls, *instalments, **vals):
        """Post an invoice with several instalments: (due date, percent)…"""
        invoiced = to_date(vals.pop("invoice_date", START))
        term = cls.env["account.payment.term"].create(
            {
                "name": "Instalments",
                "line_ids": [
                    Command.create(
                        {
                            "value": "percent",
                            "value_amount": percent,
                            "nb_days": (to_date(due) - invoiced).days,
                        }
                    )
                    for due, percent in instalments
                ],
            }
        )
        return cls._create_invoice_due(
            instalments[0][0],
            invoice_date=invoiced,
            invoice_date_due=None,
            invoice_payment_term_id=term,
            **vals,
        )

    # ------------------------------------------------------------------------
    # EVENTS
    # ------------------------------------------------------------------------

    def pay(self, invoices, amount=None, **vals):
        """Register a payment of today; without an amount, of all that is open."""
        vals.setdefault("payment_date", self.today())
        if amount is not None:
            vals["amount"] = amount
        payments = self._register_payment(invoices, **vals)
        self.env.flush_all()
        return payments

    def get_due_dates(self, invoice):
        terms = invoice.line_ids.filtered(lambda r: r.display_type == "payment_term")
        return sorted(terms.mapped("date_maturity"))

    def unreconcile(self, invoice):
        """The cheque bounced."""
        lines = invoice.line_ids.filtered(lambda r: r.display_type == "payment_term")
        lines.remove_move_reconcile()
        self.env.flush_all()

    def change_due_date(self, invoice, day):
        """As a person does: back to draft, another date, post."""
        invoice.button_draft()
        invoice.invoice_date_due = to_date(day)
        invoice.action_post()
        self.env.flush_all()

    def commit(self):
        """What the end of a transaction does: write, and write the marks."""
        self.env.flush_all()
        self.env.cr.precommit.run()

    # ------------------------------------------------------------------------
    # RUN
    # ------------------------------------------------------------------------

    def compose_day(self, day=None, hour=10.0):
        """Run the engine of a day, but leave what it writes in the queue."""
        if day:
            self.travel(day, hour)
        self.commit()
        today = self.today()
        return self.root["dunning.enrollment"]._run(today=today).with_env(self.env)

    def deliver(self, now=None):
        self.commit()
        reminders = self.root["dunning.reminder"]._deliver(now=now or self.now())
        self.env.invalidate_all()
        return reminders.with_env(self.env)

    def run_day(self, day=None, hour=10.0):
        """Do all that happens on a day, as the crons do; return the new reminders."""
        reminders = self.compose_day(day, hour)
        self.deliver()
        return reminders

    def run_on(self, *days):
        """Run on some days; "03-07..03-10" stands for each day from one to another."""
        for days_or_day in days:
            first, _dots, last = days_or_day.partition("..")
            day, last = to_date(first), to_date(last or first)
            while day <= last:
                self.run_day(day)
                day += timedelta(days=1)

    def drain(self):
        """Follow what changed, as the cron does within a minute."""
        self.commit()
        self.root["dunning.enrollment"]._drain_marks(self.today())
        self.env.invalidate_all()

    @contextmanager
    def server_down(self):
        """Nobody listens where the mail server should be."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            self.mail_server.smtp_port = unused.getsockname()[1]
            try:
                yield
            finally:
                self.mail_server.smtp_port = self.sink.port

    # ------------------------------------------------------------------------
    # WHAT CAME OUT
    # ------------------------------------------------------------------------

    def get_reminders(self, invoices):
        """Return what the customer was told: ["03-08 S1", …], oldest first."""
        lines = self.env["dunning.reminder.line"].search(
            [("move_id", "in", invoices.ids), ("counts", "=", True)]
        )
        lines = lines.sorted(lambda r: (r.sent_on or r.date, r.due_date, r.id))
        return [f"{to_text(r.sent_on or r.date)} {r.step_name}" for r in lines]

    def get_amounts(self, invoice):
        """Return the amounts of its reminders, oldest first."""
        lines = invoice.dunning_reminder_line_ids
        return lines.sorted(lambda r: (r.date, r.due_date)).mapped("amount")

    def assertReminders(self, invoices, *expected):
        """These reminders count, and no others: "03-08 S1"…"""
        self.env.invalidate_all()
        self.assertEqual(self.get_reminders(invoices), list(expected))

    def assertNext(self, invoice, state, coming=None, reason=None, until=None):
        """What comes next ("03-08 S1"), or why nothing does.

        For an invoice of one instalment.
        """
        found = self.get_enrollment(invoice)
        self.assertEqual((found.state, found.hold_reason or None), (state, reason))
        self.assertEqual(to_text(found.hold_until) or None, until)
        if coming or state == "running":
            self.assertEqual(
                f"{to_text(found.next_date)} {found.next_step_id.name}", coming
            )

    def get_enrollment(self, invoice):
        self.env.invalidate_all()
        enrollment = self.Enrollment.search([("move_id", "=", invoice.id)])
        self.assertEqual(len(enrollment), 1, "one instalment, one enrollment")
        return enrollment

    def get_last_reminder(self, invoice):
        self.env.invalidate_all()
        lines = self.env["dunning.reminder.line"].search(
            [("move_id", "=", invoice.id)], order="id desc", limit=1
        )
        return lines.reminder_id

    def get_subjects(self):
        """Return the first words of the mails that arrived: the names of steps."""
        return [mail.subject.split()[0] for mail in self.sink.mails]

    def get_text(self, mail):
        """Return what a mail says, in one line, with plain spaces, also in tables."""
        text = mail.text.replace("\N{NO-BREAK SPACE}", " ").replace(" | ", " ")
        return " ".join(text.split())
