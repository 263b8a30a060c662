from contextlib import contextmanager

import psycopg2

from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import email_normalize_all, mute_logger

from ..models.recipients import normalize_all
from .common import DunningCommon, to_date


@tagged("post_install", "-at_install")
class TestBadInput(DunningCommon):
    """What is wrong is refused where it is typed, or ends as a state with a reason.

    Nothing is lost, and nobody else is held up. What a step may say is in
    test_config and test_typed_text, what a template may do in test_compose.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sequence = cls._create_default((7,), (14,))
        cls.other = cls._create_customer("Other")

    def _create_two(self, **vals):
        """Return an invoice, and one of somebody who has nothing to do with it."""
        invoice = self._create_invoice_due("03-01", **vals)
        return invoice, self._create_invoice_due("03-01", customer=self.other)

    @contextmanager
    def assertRefused(self, message, error=ValidationError):
        with self.assertRaisesRegex(error, message), mute_logger("odoo.sql_db"):
            with self.env.cr.savepoint():
                yield
                self.env.flush_all()

    def _write_by_sql(self, records, **vals):
        """What an import, or another module, may leave behind."""
        self.env.flush_all()
        for name, value in vals.items():
            self.env.cr.execute(
                f"UPDATE {records._table} SET {name} = %s WHERE id = ANY(%s)",
                [value, records.ids],
            )
        self.env.invalidate_all()

    # ------------------------------------------------------------------------
    # NUMBERS OUT OF ANY RANGE
    # ------------------------------------------------------------------------

    def test_delays_are_days_not_centuries(self):
        first, last = self.sequence.step_ids
        for step, name, value in (
            (last, "delay", 3_000_000),
            (first, "delay", -3_000_000),
            (last, "repeat_every", 3_000_000),
        ):
            with self.assertRefused("step_check_days", psycopg2.Error):
                step[name] = value
        with self.assertRefused("sequence_check_amounts", psycopg2.Error):
            self.sequence.min_contact_days = 3_000_000

    def test_what_spares_the_customer_is_not_negative(self):
        """Odoo says it in the words of the constraint, to whoever is at the screen."""
        for name in ("min_contact_days", "min_amount"):
            with self.assertRefused("sequence_check_amounts", psycopg2.Error):
                self.sequence[name] = -1

    def test_a_pause_does_not_end_before_it_begins(self):
        invoice, _other = self._create_two()
        with self.assertRefused("hold_check_target", psycopg2.Error):
            invoice.write(
                {"dunning_paused": True, "dunning_pause_until": to_date("01-02")}
            )

    # ------------------------------------------------------------------------
    # ADDRESSES
    # ------------------------------------------------------------------------

    def test_what_is_no_address_is_no_recipient(self):
        self.customer.email = "Azure, call 555-0199"
        invoice, other = self._create_two()
        self.run_on("03-08")
        self.assertNext(invoice, "todo", "03-08 S1", reason="no_recipient")
        self.assertReminders(other, "03-08 S1")
        self.customer.email = "azure@customer.example.com"
        self.run_on("03-09")
        self.assertReminders(invoice, "03-09 S1")

    def test_plain_addresses_are_read_as_odoo_reads_them(self):
        """They need no parser; what looks odd is left to it."""
        for text in (
            "Jane.Doe+x@Example.COM",
            "a@b.c9",
            "a@localhost",
            "a..b@example.com",
            ".a@example.com",
            "a@example.com.",
            "a@example.com, b@example.com",
            "Anna <a@example.com>",
            "é@example.com",
            "a@exämple.com",
            "a@b@example.com",
            "a@\u212aelvin.com",
            " a@example.com",
            "a@example.com\n",
            "nobody",
            "",
            False,
        ):
            with self.subTest(text):
                self.assertEqual(normalize_all(text), tuple(email_normalize_all(text)))

    def test_of_several_addresses_the_valid_ones_are_used(self):
        invoice, _other = self._create_two(
            dunning_email_to="nonsense, Bob <bob@customer.example.com>, @", post=True
        )
        self.run_on("03-08")
        self.assertEqual(
            self.get_last_reminder(invoice).email_to,
            '"Bob" <bob@customer.example.com>',
        )
        self.assertReminders(invoice, "03-08 S1")

    def test_an_address_the_server_cannot_take_fails_alone(self):
        """Letters beyond ASCII before the @ need SMTPUTF8: this server has none."""
        self.customer.email = "josé@customer.example.com"
        invoice, other = self._create_two()
        self.run_on("03-08")
        reminder = self.get_last_reminder(invoice)
        self.assertEqual(reminder.state, "failed")
        self.assertTrue(reminder.failure_reason)
        self.assertNext(invoice, "todo", "03-08 S1", reason="failed")
        self.assertReminders(other, "03-08 S1")

    def test_a_sender_without_address_fails_with_a_reason(self):
        self.mail_server.from_filter = False
        own = self._create_sequence([(7,)], email_from="Accounting", prefix="B")
        own.partner_ids = self.customer
        invoice, other = self._create_two()
        self.run_on("03-08")
        self.assertReminders(other, "03-08 S1")
        self.assertReminders(invoice)
        reminder = self.get_last_reminder(invoice)
        self.assertEqual(reminder.state, "failed")
        self.assertTrue(reminder.failure_reason)

    # ------------------------------------------------------------------------
    # MAIL SERVERS
    # ------------------------------------------------------------------------

    def test_without_any_mail_server_reminders_wait_for_one(self):
        invoice, other = self._create_two()
        self.mail_server.active = False
        self.run_on("03-08", "03-09")
        reminders = (invoice + other).dunning_reminder_line_ids.reminder_id
        self.assertEqual(reminders.mapped("state"), ["queued", "queued"])
        # The first one says it for all: a server that is down is asked once a run.
        self.assertIn("refused", reminders.sorted("id")[0].failure_reason)
        self.assertNext(invoice, "held", "03-15 S2", reason="delayed")
        self.mail_server.active = True
        self.run_on("03-10")
        self.assertReminders(invoice, "03-10 S1")
        self.assertReminders(other, "03-10 S1")
        self.assertEqual(len(self.sink.mails), 2)

    def test_the_mail_server_of_a_sequence_is_archived(self):
        backup = self.mail_server.copy({"name": "Backup"})
        self.sequence.mail_server_id = backup
        invoice, _other = self._create_two()
        self.compose_day("03-08")
        backup.active = False
        self.deliver()
        self.run_on("03-09")
        self.assertReminders(invoice, "03-08 S1")

    # ------------------------------------------------------------------------
    # TEMPLATES
    # ------------------------------------------------------------------------

    def _create_template(self, **vals):
        return self.env["mail.template"].create(
            {
                "name": "Ours",
                "model_id": self.env["ir.model"]._get_id("dunning.reminder"),
                "subject": "T {{ object.invoice_number }}",
                "body_html": "<p>Pay</p>",
                **vals,
            }
        )

    def _follow_template(self, template):
        step = {"delay": 7, "content": "template", "template_id": template.id}
        own = self._create_sequence([step], prefix="T")
        own.partner_ids = self.customer
        return own

    def test_a_template_with_an_unknown_field_fails_with_its_name(self):
        invoice, other = self._create_two()
        template = self._create_template()
        self._write_by_sql(
            template, body_html='{"en_US": "<t t-out=\\"object.nix\\"/>"}'
        )
        self._follow_template(template)
        self.run_on("03-08")
        self.assertReminders(other, "03-08 S1")
        self.assertIn("nix", self.get_last_reminder(invoice).failure_reason)
        self.assertEqual(invoice.dunning_status, "failed")

    def test_a_template_without_subject_fails_with_a_reason(self):
        invoice, other = self._create_two()
        self._follow_template(self._create_template(subject=False))
        self.run_on("03-08")
        self.assertReminders(other, "03-08 S1")
        self.assertIn("is empty", self.get_last_reminder(invoice).failure_reason)

    def test_a_template_in_use_is_not_deleted(self):
        template = self._create_template()
        self._follow_template(template)
        with self.assertRefused("", (UserError, psycopg2.Error)):
            template.unlink()

    # ------------------------------------------------------------------------
    # INVOICES
    # ------------------------------------------------------------------------

    def test_an_invoice_line_without_due_date_counts_from_the_invoices(self):
        invoice, other = self._create_two()
        lines = invoice.line_ids.filtered(lambda r: r.display_type == "payment_term")
        self._write_by_sql(lines, date_maturity=None)
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")
        self.assertReminders(other, "03-08 S1")
        self.assertEqual(invoice.dunning_reminder_line_ids.amount, 100)

    def test_an_invoice_without_due_date_is_due_at_once(self):
        invoice, other = self._create_two(invoice_date=to_date("02-01"))
        lines = invoice.line_ids.filtered(lambda r: r.display_type == "payment_term")
        self._write_by_sql(lines, date_maturity=None)
        self._write_by_sql(invoice, invoice_date_due=None)
        self.run_on("02-08")
        self.assertReminders(invoice, "02-08 S1")
        self.run_on("03-08")
        self.assertReminders(other, "03-08 S1")

    def test_an_invoice_without_any_date_holds_up_nobody(self):
        invoice, other = self._create_two()
        lines = invoice.line_ids.filtered(lambda r: r.display_type == "payment_term")
        self._write_by_sql(lines, date_maturity=None)
        self._write_by_sql(invoice, invoice_date_due=None, invoice_date=None)
        self.run_on("02-06", "03-08")  # it was entered in the books on 30 January
        self.assertReminders(other, "03-08 S1")
        self.assertReminders(invoice, "02-06 S1", "03-08 S2")

    def test_a_customer_without_language(self):
        self._write_by_sql(self.customer, lang=None)
        invoice, other = self._create_two()
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")
        self.assertReminders(other, "03-08 S1")

    # ------------------------------------------------------------------------
    # COMPANIES
    # ------------------------------------------------------------------------

    def _create_company(self):
        branch = self.env["res.company"].create({"name": "Elsewhere"})
        self.env.user.company_ids += branch
        return branch

    def test_customers_of_another_company_are_not_added(self):
        elsewhere = self._create_company()
        theirs = self._create_customer("Theirs", company_id=elsewhere.id)
        with self.assertRefused("compan", UserError):
            self.sequence.partner_ids = theirs

    def test_a_hold_is_of_one_company(self):
        elsewhere = self._create_company()
        invoice, _other = self._create_two()
        with self.assertRefused("compan", UserError):
            self.env["dunning.hold"].create(
                {"company_id": elsewhere.id, "move_ids": [(6, 0, invoice.ids)]}
            )

    def test_a_sequence_that_changes_its_company_reminds_nobody_of_the_old_one(self):
        invoice, _other = self._create_two()
        elsewhere = self._create_company()
        with self.assertRefused("compan", UserError):
            self.sequence.company_id = elsewhere
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")
