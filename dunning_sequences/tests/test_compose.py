import base64
from unittest.mock import patch

from odoo import Command
from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import DunningCommon


class ComposeCommon(DunningCommon):
    def get_recipients(self, mail):
        """Return (To, Cc, everybody in the envelope) as bare addresses."""

        def bare(header):
            addresses = mail.message[header].addresses if mail.message[header] else ()
            return [address.addr_spec for address in addresses]

        return bare("To"), bare("Cc"), sorted(mail.recipients)

    def get_texts(self):
        """Return {name before the @ of who gets it: text}."""
        return {
            mail.recipients[0].partition("@")[0]: self.get_text(mail)
            for mail in self.sink.mails
        }

    def assertSentTo(self, *addresses):
        """One mail left, to these addresses only."""
        (mail,) = self.sink.mails
        to, cc, everybody = self.get_recipients(mail)
        self.assertEqual((to, cc), (list(addresses), []))
        self.assertEqual(everybody, sorted(addresses))


@tagged("post_install", "-at_install")
class TestGrouping(ComposeCommon):
    """Which reminders make one mail, and what it says."""

    def test_one_mail_for_all_invoices_of_a_customer(self):
        self._create_default((7,))
        invoices = self._create_invoice_due("03-01", 100)
        invoices += self._create_invoice_due("03-01", 250)
        reminder = self.run_day("03-08")
        (mail,) = self.sink.mails
        for invoice in invoices:
            self.assertReminders(invoice, "03-08 S1")
            self.assertIn(invoice.name, mail.subject)
        self.assertEqual(reminder.move_ids, invoices)
        self.assertIn("S1: $ 350.00", self.get_text(mail))

    def test_each_line_of_a_mail_names_its_step(self):
        text = {"body": "<p>{{ amount_due }}</p>{{ invoice_table }}"}
        sequence = self._create_default(
            {"delay": 7, "subject": "One", **text},
            {"delay": 14, "subject": "Two", **text},
        )
        sequence.step_ids[1].name = "Second reminder"
        older = self._create_invoice_due("03-01", 100)
        newer = self._create_invoice_due("03-08", 250)
        self.run_on("03-08", "03-15")
        first, second = self.sink.mails
        self.assertNotIn("S1", first.text)
        rows = [line for line in second.text.splitlines() if " | " in line]
        self.assertEqual(rows[0], "Invoice | Due date | Amount due")
        for row, invoice, step in zip(
            rows[1:3], (older, newer), ("Second reminder", "S1"), strict=True
        ):
            self.assertIn(invoice.name, row)
            self.assertIn(f", {step} | ", row)
        self.assertIn("Total | $\N{NO-BREAK SPACE}350.00", rows[3])

    def test_one_mail_per_invoice_if_the_sequence_says_so(self):
        self._create_default((7,), grouping="invoice")
        invoices = self._create_invoice_due("03-01", 100)
        invoices += self._create_invoice_due("03-01", 250)
        self.run_day("03-08")
        first, second = self.sink.mails
        self.assertIn(invoices[0].name, first.subject)
        self.assertNotIn(invoices[1].name, first.subject)
        self.assertIn(invoices[1].name, second.subject)

    def test_the_instalments_of_an_invoice_due_together_are_in_one_mail(self):
        self._create_default((7,), (14,), grouping="invoice")
        invoice = self._create_invoice_in_instalments(("02-22", 40), ("03-01", 60))
        self.run_on("03-01", "03-08")
        self.assertReminders(invoice, "03-01 S1", "03-08 S2", "03-08 S1")
        self.assertEqual(self.get_subjects(), ["S1", "S2"])
        self.assertIn("S2: $ 100.00", self.get_text(self.sink.mails[1]))

    def test_customers_never_share_a_mail(self):
        self._create_default((7,))
        other = self._create_customer("Other")
        self._create_invoice_due("03-01")
        self._create_invoice_due("03-01", customer=other)
        self.run_day("03-08")
        self.assertEqual(
            sorted(mail["To"] for mail in self.sink.mails),
            [
                "Azure <azure@customer.example.com>",
                "Other <other@customer.example.com>",
            ],
        )

    def test_contacts_of_one_customer_share_a_mail(self):
        self._create_default((7,))
        anna = self._create_contact(self.customer, "Anna", type="other")
        invoices = self._create_invoice_due("03-01", customer=anna)
        invoices += self._create_invoice_due("03-01")
        self.customer.dunning_contact = True
        self.run_day("03-08")
        self.assertEqual(len(self.sink.mails), 1)
        self.assertReminders(invoices, "03-08 S1", "03-08 S1")

    def test_the_highest_step_gives_the_text(self):
        self._create_default((7,), (14,))
        older = self._create_invoice_due("02-22")
        newer = self._create_invoice_due("03-01")
        self.run_on("03-01")
        reminder = self.run_day("03-08")
        self.assertReminders(older, "03-01 S1", "03-08 S2")
        self.assertReminders(newer, "03-08 S1")
        self.assertEqual(self.get_subjects(), ["S1", "S2"])
        self.assertEqual(reminder.move_id, older, "it carries the conversation")
        self.assertEqual(reminder.step_id.name, "S2")

    def test_highest_step_paid_before_sending_the_rest_gives_the_text(self):
        """Nobody gets a second reminder for an invoice at its first."""
        self._create_default((7,), (14,))
        older = self._create_invoice_due("02-22")
        newer = self._create_invoice_due("03-01")
        self.run_on("03-01")
        reminder = self.compose_day("03-08")
        self.pay(older)
        self.deliver()
        self.assertReminders(older, "03-01 S1")
        self.assertReminders(newer, "03-08 S1")
        mail = self.sink.mails[-1]
        self.assertIn("S1: $ 100.00", self.get_text(mail))
        self.assertEqual(mail.subject, f"S1 {newer.name}")
        self.assertEqual(reminder.move_id, newer)

    def test_paid_in_a_group_leaves_without_it(self):
        self._create_default((7,))
        paid = self._create_invoice_due("03-01", 100)
        other = self._create_invoice_due("03-01", 250)
        self.compose_day("03-08")
        self.pay(paid)
        self.deliver()
        (mail,) = self.sink.mails
        self.assertNotIn(paid.name, mail.subject)
        self.assertIn("S1: $ 250.00", self.get_text(mail))
        self.assertReminders(paid)
        self.assertReminders(other, "03-08 S1")

    def test_courtesy_notices_are_mails_of_their_own(self):
        self._create_default((-3,), (7,))
        self._create_invoice_due("03-01")
        self._create_invoice_due("03-11")
        self.run_on("02-26", "03-08")
        self.assertEqual(self.get_subjects(), ["S1", "S2", "S1"])
        self.assertEqual(self.Reminder.search([]).mapped("before_due").count(True), 2)

    def test_on_the_due_date_it_is_a_reminder(self):
        self._create_default((0,), (7,))
        self._create_invoice_due("03-08")
        self._create_invoice_due("03-01")
        self.run_on("03-01")
        reminder = self.run_day("03-08")
        self.assertEqual(self.get_subjects(), ["S1", "S2"])
        self.assertFalse(reminder.before_due)

    def test_a_second_invoice_of_the_day_waits_for_tomorrow(self):
        self._create_default((7,))
        first = self._create_invoice_due("03-01")
        self.run_day("03-08", 9)
        second = self._create_invoice_due("03-01")
        self.run_day("03-08", 11)
        self.assertReminders(first, "03-08 S1")
        self.assertReminders(second)
        self.run_day("03-09")
        self.assertReminders(second, "03-09 S1")

    def test_after_a_night_without_mail_server_still_one_mail_a_day(self):
        """Yesterday's mail leaves today; what is due today waits, and a third too."""
        self._create_default((7,))
        first = self._create_invoice_due("03-01")
        second = self._create_invoice_due("03-02")
        with self.server_down():
            self.run_on("03-08")
        self.run_day("03-09", 9)
        self._create_invoice_due("03-02")
        self.run_day("03-09", 11)
        self.assertEqual(len(self.sink.mails), 1)
        self.assertReminders(first, "03-09 S1")
        self.run_day("03-10")
        self.assertEqual(len(self.sink.mails), 2)
        self.assertReminders(second, "03-10 S1")

    def test_other_recipients_make_another_mail(self):
        self._create_default((7,))
        self._create_invoice_due("03-01")
        invoice = self._create_invoice_due("03-01")
        invoice.dunning_email_to = "clerk@customer.example.com"
        self.run_day("03-08")
        self.assertEqual(
            sorted(mail.recipients for mail in self.sink.mails),
            [["azure@customer.example.com"], ["clerk@customer.example.com"]],
        )

    def test_the_table_lists_each_instalment(self):
        typed = {"delay": 7, "body": "<div>{{ invoice_table }}</div>"}
        self._create_default(typed)
        first = self._create_invoice_due("03-01", 100)
        second = self._create_invoice_due("03-01", 250)
        self.run_day("03-08")
        text = self.get_text(self.sink.mails[0])
        for piece in (first.name, second.name, "$ 100.00", "$ 250.00", "$ 350.00"):
            self.assertIn(piece, text)
        self.assertIn(first.access_token, self.sink.mails[0].html)


@tagged("post_install", "-at_install")
class TestRecipients(ComposeCommon):
    """Who gets a reminder, and nobody else."""

    def test_whom_the_invoice_is_addressed_to(self):
        self._create_default((7,))
        anna = self._create_contact(self.customer, "Anna")
        self._create_invoice_due("03-01", customer=anna)
        reminder = self.run_day("03-08")
        self.assertSentTo("anna@customer.example.com")
        self.assertEqual(reminder.recipient_source, "address")

    def test_the_customer_when_nothing_else_is_known(self):
        self._create_default((7,))
        anna = self._create_contact(self.customer, "Anna", email=False)
        self._create_invoice_due("03-01", customer=anna)
        reminder = self.run_day("03-08")
        self.assertSentTo("azure@customer.example.com")
        self.assertEqual(reminder.recipient_source, "customer")

    def test_the_customers_invoice_address(self):
        self._create_default((7,))
        self._create_contact(self.customer, "Billing", type="invoice")
        self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.assertSentTo("billing@customer.example.com")
        self.assertEqual(reminder.recipient_source, "address")

    def test_starred_contacts_beat_the_invoice_address(self):
        self._create_default((7,))
        self._create_contact(self.customer, "Billing", type="invoice")
        self._create_contact(self.customer, "Anna", dunning_contact=True)
        self._create_contact(self.customer, "Bert", dunning_contact=True)
        self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.assertSentTo("anna@customer.example.com", "bert@customer.example.com")
        self.assertEqual(reminder.recipient_source, "contacts")

    def test_the_invoices_own_beat_all_others(self):
        self._create_default((7,))
        self._create_contact(self.customer, "Anna", dunning_contact=True)
        bert = self._create_contact(self.customer, "Bert")
        invoice = self._create_invoice_due("03-01")
        invoice.dunning_recipient_ids = bert
        invoice.dunning_email_to = "Zoe <zoe@x.example.com>, clerk@x.example.com"
        reminder = self.run_day("03-08")
        self.assertSentTo(
            "bert@customer.example.com", "zoe@x.example.com", "clerk@x.example.com"
        )
        self.assertEqual(reminder.recipient_source, "invoice")
        self.assertEqual(reminder.recipient_ids, bert)

    def test_a_source_without_address_is_passed_over(self):
        self._create_default((7,))
        self._create_contact(
            self.customer, "Anna", dunning_contact=True, email="not an address"
        )
        self._create_contact(self.customer, "Billing", type="invoice", email=False)
        self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertSentTo("azure@customer.example.com")

    def test_an_archived_contact_gets_nothing(self):
        self._create_default((7,))
        anna = self._create_contact(self.customer, "Anna", dunning_contact=True)
        self._create_invoice_due("03-01")
        self.drain()
        anna.active = False
        self.run_day("03-08")
        self.assertSentTo("azure@customer.example.com")

    def test_copies_and_blind_copies(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        invoice.dunning_email_cc = "boss@customer.example.com"
        invoice.dunning_email_bcc = "eye@test.example.com, spy@test.example.com"
        reminder = self.run_day("03-08")
        (mail,) = self.sink.mails
        to, cc, everybody = self.get_recipients(mail)
        self.assertEqual(to, ["azure@customer.example.com"])
        self.assertEqual(cc, ["boss@customer.example.com"])
        self.assertEqual(
            everybody,
            [
                "azure@customer.example.com",
                "boss@customer.example.com",
                "eye@test.example.com",
                "spy@test.example.com",
            ],
        )
        self.assertIsNone(mail["Bcc"])
        self.assertNotIn(b"spy@", mail.source)
        self.assertIn("spy@test.example.com", reminder.email_bcc)

    def test_followers_get_nothing(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        follower = self._create_customer("Follower")
        subtypes = self.env["mail.message.subtype"].search([])
        invoice.message_subscribe(
            (follower + self.env.user.partner_id).ids, subtypes.ids
        )
        before = self.env["mail.mail"].sudo().search([])
        reminder = self.run_day("03-08")
        self.assertSentTo("azure@customer.example.com")
        self.assertEqual(
            reminder.mail_message_id.notification_ids.res_partner_id, self.customer
        )
        self.assertEqual(self.env["mail.mail"].sudo().search([]), before)

    def test_without_address_it_is_to_do_and_the_others_leave(self):
        self._create_default((7,))
        nobody = self._create_customer("Nobody", email=False)
        silent = self._create_invoice_due("03-01", customer=nobody)
        other = self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertReminders(other, "03-08 S1")
        self.assertNext(silent, "todo", "03-08 S1", reason="no_recipient")
        self.assertEqual(silent.dunning_status, "todo")
        self.run_day("03-09")
        self.assertReminders(silent)
        nobody.email = "found@customer.example.com"
        self.drain()
        self.assertNext(silent, "running", "03-08 S1")
        self.run_day("03-10")
        self.assertReminders(silent, "03-10 S1")

    def test_an_address_on_the_invoice_releases_it_too(self):
        self._create_default((7,))
        self.customer.email = False
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        invoice.dunning_email_to = "found@customer.example.com"
        self.run_day("03-09")
        self.assertReminders(invoice, "03-09 S1")

    def test_address_corrected_before_sending_is_used(self):
        self._create_default((7,))
        self._create_invoice_due("03-01")
        self.compose_day("03-08")
        self.customer.email = "new@customer.example.com"
        self.deliver()
        self.assertSentTo("new@customer.example.com")

    def test_an_address_twice_gets_one_mail(self):
        self._create_default((7,))
        self._create_contact(self.customer, "Anna", dunning_contact=True)
        self._create_contact(
            self.customer,
            "Anna Again",
            dunning_contact=True,
            email="ANNA@customer.example.com",
        )
        self._create_invoice_due("03-01")
        self.run_day("03-08")
        (mail,) = self.sink.mails
        self.assertEqual(
            len({address.lower() for address in mail.recipients}), len(mail.recipients)
        )


@tagged("post_install", "-at_install")
class TestContent(ComposeCommon):
    """What a reminder says: text, language, amounts, sender, attachments."""

    @classmethod
    def _create_template(cls, **vals):
        return cls.env["mail.template"].create(
            {
                "name": "Ours",
                "model_id": cls.env["ir.model"]._get_id("dunning.reminder"),
                "subject": "T {{ object.invoice_number }}",
                "body_html": '<p>Due: <t t-out="object.amount_due"/></p>',
                **vals,
            }
        )

    def _create_default_with(self, **vals):
        template = self._create_template(**vals)
        return self._create_default(
            {"delay": 7, "content": "template", "template_id": template.id}
        )

    # ------------------------------------------------------------------------
    # TEMPLATES
    # ------------------------------------------------------------------------

    def test_a_template_gives_subject_body_and_files(self):
        file = self.env["ir.attachment"].create(
            {"name": "terms.txt", "raw": b"pay!", "mimetype": "text/plain"}
        )
        self._create_default_with(attachment_ids=[Command.set(file.ids)])
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        (mail,) = self.sink.mails
        self.assertEqual(mail.subject, f"T {invoice.name}")
        self.assertIn("Due: $ 100.00", self.get_text(mail))
        self.assertEqual(list(mail.attachments), ["terms.txt"])

    def test_what_a_template_sets_for_one_customer_does_not_leak_to_the_next(self):
        self._create_default_with(
            body_html="<p><t t-if=\"object.customer_name == 'Azure'\">"
            '<t t-set="secret" t-value="object.invoice_number"/></t>'
            'Hello <t t-out="secret"/>.</p>'
        )
        other = self._create_customer("Other")
        invoice = self._create_invoice_due("03-01")
        self._create_invoice_due("03-01", customer=other)
        self.run_day("03-08")
        texts = self.get_texts()
        self.assertIn(invoice.name, texts["azure"])
        self.assertIn("Hello .", texts["other"])

    def test_a_template_that_fails_for_one_customer_fails_alone(self):
        self._create_default_with(
            body_html='<p><t t-if="object.customer_name == \'Bad\'" t-out="1 / 0"/>'
            "Good</p>"
        )
        bad = self._create_customer("Bad")
        failing = self._create_invoice_due("03-01", customer=bad)
        good = self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertReminders(good, "03-08 S1")
        self.assertReminders(failing)
        reminder = self.get_last_reminder(failing)
        self.assertEqual(reminder.state, "failed")
        self.assertIn("division by zero", reminder.failure_reason)
        self.assertNotIn("Traceback", reminder.failure_reason)
        self.assertNext(failing, "todo", "03-08 S1", reason="failed")
        self.assertEqual(failing.dunning_status, "failed")
        self.run_on("03-09")
        self.assertEqual(len(self.sink.mails), 1, "it waits for a person")

    def test_a_failed_one_is_retried_as_another_reminder(self):
        template = self._create_template(body_html='<p><t t-out="1 / 0"/></p>')
        self._create_default(
            {"delay": 7, "content": "template", "template_id": template.id}, (14,)
        )
        invoice = self._create_invoice_due("03-01")
        failed = self.run_day("03-08")
        template.body_html = "<p>Good</p>"
        self.travel("03-09")
        failed.action_retry()
        retry = self.get_last_reminder(invoice)
        self.assertNotEqual(retry, failed)
        self.assertEqual(retry.retry_of_id, failed)
        self.assertEqual(failed.state, "failed", "history stays")
        self.assertNotEqual(retry.message_id, failed.message_id)
        self.deliver()
        self.assertReminders(invoice, "03-09 S1")
        self.assertNext(invoice, "running", "03-16 S2")

    def test_retried_twice_is_sent_once(self):
        """Two clicks, or two people."""
        self._create_default_with(body_html='<p><t t-out="1 / 0"/></p>')
        invoice = self._create_invoice_due("03-01")
        failed = self.run_day("03-08")
        failed.step_id.template_id.body_html = "<p>Good</p>"
        failed.action_retry()
        with self.assertRaises(Exception), mute_logger("odoo.sql_db"):  # noqa: B017
            with self.env.cr.savepoint():
                failed.action_retry()
                self.env.flush_all()
        self.env.invalidate_all()
        self.deliver()
        self.assertEqual(len(self.sink.mails), 1)
        self.assertReminders(invoice, "03-08 S1")

    def test_retried_after_payment_is_not_sent(self):
        self._create_default_with(body_html='<p><t t-out="1 / 0"/></p>')
        invoice = self._create_invoice_due("03-01")
        failed = self.run_day("03-08")
        failed.step_id.template_id.body_html = "<p>Good</p>"
        self.pay(invoice)
        failed.action_retry()
        self.deliver()
        self.assertFalse(self.sink.mails)
        self.assertReminders(invoice)

    def _failing_query(self, name):
        """A broken query while the reminder of a customer is composed."""
        get_contact_name = type(self.Reminder)._get_contact_name

        def failing(reminder):
            if reminder.partner_id.name == name:
                reminder.env.cr.execute("SELECT 1 / 0")
            return get_contact_name(reminder)

        return patch.object(type(self.Reminder), "_get_contact_name", failing)

    def assertFailsAlone(self, *others):
        self._create_default({"delay": 7, "body": "<p>{{ contact_name }}</p>"})
        bad = self._create_customer("Bad")
        failing = self._create_invoice_due("03-01", customer=bad)
        with self._failing_query("Bad"), mute_logger("odoo.sql_db"):
            self.run_day("03-08")
        reminder = self.get_last_reminder(failing)
        self.assertEqual(reminder.state, "failed")
        self.assertIn("division by zero", reminder.failure_reason)
        self.assertNext(failing, "todo", "03-08 S1", reason="failed")
        for invoice in others:
            self.assertReminders(invoice, "03-08 S1")

    def test_a_database_error_for_one_customer_fails_alone(self):
        other = self._create_customer("Other")
        self.assertFailsAlone(
            self._create_invoice_due("03-01"),
            self._create_invoice_due("03-01", customer=other),
        )

    def test_a_database_error_for_the_only_customer_does_not_stop_the_run(self):
        self.assertFailsAlone()

    def test_an_empty_text_fails_and_does_not_leave(self):
        self._create_default(
            {"delay": 7, "body": "<p>{% if payment_reference %}x{% endif %}</p>"},
            payment_link=False,
        )
        invoice = self._create_invoice_due("03-01")
        invoice.payment_reference = False
        self.run_day("03-08")
        self.assertFalse(self.sink.mails)
        self.assertEqual(self.get_last_reminder(invoice).state, "failed")
        self.assertIn("is empty", self.get_last_reminder(invoice).failure_reason)

    # ------------------------------------------------------------------------
    # TYPED TEXT
    # ------------------------------------------------------------------------

    def test_typed_text_knows_all_its_fields(self):
        names = (
            *("contact_name", "customer_name", "company_name", "invoice_number"),
            *("invoice_date", "due_date", "days_late", "amount_due", "amount_total"),
            *("payment_reference", "bank_account", "step_number", "sender_name"),
            *("sender_phone",),
        )
        body = "".join(f"<p>{name}={{{{ {name} }}}};</p>" for name in names)
        self.company.partner_id.bank_ids.unlink()
        self.env["res.partner.bank"].create(
            {
                "acc_number": "BE71 0961 2345 6769",
                "partner_id": self.company.partner_id.id,
                "allow_out_payment": True,
            }
        )
        self.company.phone = "+1 555 0100"
        self._create_default((3,), {"delay": 7, "body": body})
        anna = self._create_contact(self.customer, "Anna", dunning_contact=True)
        invoice = self._create_invoice_due("03-01", 100, customer=anna)
        self.pay(invoice, 40)
        self.run_on("03-04", "03-08")
        text = self.get_text(self.sink.mails[-1])
        for value in (
            "contact_name=Anna;",
            "customer_name=Azure;",
            "company_name=Test Company;",
            f"invoice_number={invoice.name};",
            "invoice_date=01/30/2026;",
            "due_date=03/01/2026;",
            "days_late=7;",
            "amount_due=$ 60.00;",
            "amount_total=$ 100.00;",
            f"payment_reference={invoice.payment_reference};",
            "BE71 0961 2345 6769;",
            "step_number=2;",
            "sender_name=Test Company;",
            "sender_phone=+1 555 0100;",
        ):
            self.assertIn(value, text)

    def test_names_are_escaped_in_the_body_and_not_in_the_subject(self):
        self._create_default(
            {
                "delay": 7,
                "subject": "For {{ customer_name }}",
                "body": "<p>For {{ customer_name }}.</p>",
            }
        )
        customer = self._create_customer("Tom & <b>Jerry", email="tom@x.example.com")
        self._create_invoice_due("03-01", customer=customer)
        self.run_day("03-08")
        (mail,) = self.sink.mails
        self.assertEqual(mail.subject, "For Tom & <b>Jerry")
        self.assertIn("For Tom &amp; &lt;b&gt;Jerry.", mail.html)

    # ------------------------------------------------------------------------
    # LANGUAGE AND MONEY
    # ------------------------------------------------------------------------

    def _create_bilingual(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        sequence = self._create_default((7,))
        step = sequence.step_ids
        step.with_context(lang="fr_FR").subject = "Rappel {{ invoice_number }}"
        (term,) = step._fields["body"].get_trans_terms(step.body)
        french = "Il reste {{ amount_due }} depuis le {{ due_date }}."
        step.update_field_translations("body", {"fr_FR": {term: french}})
        return sequence

    def test_a_french_customer_gets_french_text_dates_and_amounts(self):
        self._create_bilingual()
        french = self._create_customer("Madeleine", lang="fr_FR")
        self._create_invoice_due("03-01", 1234.5, customer=french)
        self._create_invoice_due("03-01", 1234.5)
        self.run_day("03-08")
        texts = self.get_texts()
        text = texts["madeleine"].replace("\N{NARROW NO-BREAK SPACE}", " ")
        self.assertIn("Il reste", text)
        self.assertIn("1 234,50", text)
        self.assertIn("depuis le 01/03/2026", text)
        self.assertIn("S1: $ 1,234.50 since 03/01/2026", texts["azure"])
        self.assertEqual(sorted(self.get_subjects()), ["Rappel", "S1"])
        (mail,) = [mail for mail in self.sink.mails if "Rappel" in mail.subject]
        self.assertIn('lang="fr-FR"', mail.html)

    def test_the_readers_language_beats_the_customers(self):
        self._create_bilingual()
        self._create_contact(
            self.customer, "Madeleine", lang="fr_FR", dunning_contact=True
        )
        self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertTrue(self.sink.mails[0].subject.startswith("Rappel"))

    def test_a_template_speaks_the_customers_language(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        sequence = self._create_default_with()
        template = sequence.step_ids.template_id
        french = "Facture {{ object.invoice_number }}"
        template.with_context(lang="fr_FR").subject = french
        body = template.body_html.replace("Due", "Solde")
        template.with_context(lang="fr_FR").body_html = body
        french = self._create_customer("Madeleine", lang="fr_FR")
        self._create_invoice_due("03-01", customer=french)
        self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertEqual(sorted(self.get_subjects()), ["Facture", "T"])
        texts = self.get_texts()
        self.assertIn("Solde:", texts["madeleine"])
        self.assertIn("Due:", texts["azure"])

    def test_a_language_that_is_not_installed_falls_back(self):
        self._create_default((7,))
        self._create_invoice_due("03-01")
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE res_partner SET lang = 'ja_JP' WHERE id = %s", [self.customer.id]
        )
        self.env.invalidate_all()
        reminder = self.run_day("03-08")
        self.assertEqual(reminder.state, "sent")
        self.assertEqual(reminder.lang, "en_US")

    def test_amounts_are_in_the_invoices_currency(self):
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01", 150, currency_id=euro)
        self.run_day("03-08")
        self.assertIn("S1: 150.00 €", self.get_text(self.sink.mails[0]))
        self.assertEqual(invoice.dunning_reminder_line_ids.amount, 150)
        self.assertEqual(invoice.dunning_reminder_line_ids.currency_id, euro)

    def test_each_currency_has_its_own_total(self):
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        self._create_default((7,))
        self._create_invoice_due("03-01", 150, currency_id=euro)
        self._create_invoice_due("03-01", 50, currency_id=euro)
        self._create_invoice_due("03-01", 100)
        self.run_day("03-08")
        (mail,) = self.sink.mails
        text = self.get_text(mail)
        self.assertIn("200.00 €", text)
        self.assertIn("$ 100.00", text)
        self.assertNotIn("300.00", text)

    # ------------------------------------------------------------------------
    # SENDER
    # ------------------------------------------------------------------------

    def test_the_sender_is_the_sequences_else_the_companys_else_the_responsible(self):
        """E03"""
        sequence = self._create_default((7,), email_from="Dunning <d@test.example.com>")
        sequence.user_id = self._create_user("anna", "account.group_account_invoice")
        for day in ("03-01", "03-05", "03-10"):
            self._create_invoice_due(day)
        self.run_on("03-08")
        sequence.email_from = False
        self.run_on("03-12")
        self.company.email = False
        self.run_on("03-17")
        self.assertEqual(
            [mail["From"].addresses[0].addr_spec for mail in self.sink.mails],
            ["d@test.example.com", "company@test.example.com", "anna@test.example.com"],
        )

    def test_without_any_sender_it_fails_with_a_reason(self):
        self._create_default((7,))
        self.company.email = False
        self.env["mail.alias.domain"].search([]).write({"default_from": False})
        self.company.alias_domain_id = False
        invoice = self._create_invoice_due("03-01")
        with patch.object(
            type(self.env["ir.mail_server"]),
            "_get_default_from_address",
            lambda _s: None,
        ):
            self.run_day("03-08")
        self.assertEqual(self.get_last_reminder(invoice).state, "failed")
        self.assertIn("no sender", self.get_last_reminder(invoice).failure_reason)

    # ------------------------------------------------------------------------
    # WHAT GOES WITH IT
    # ------------------------------------------------------------------------

    def test_the_stored_pdf_is_attached_never_a_new_one(self):
        self._create_default((7,), attach_invoice=True)
        invoice = self._create_invoice_due("03-01")
        invoice.invoice_pdf_report_file = base64.b64encode(b"%PDF the legal one")
        report = type(self.env["ir.actions.report"])
        with patch.object(report, "_pre_render_qweb_pdf", side_effect=AssertionError):
            self.run_day("03-08")
        (mail,) = self.sink.mails
        self.assertIn(b"%PDF the legal one", mail.attachments.values())

    def test_a_missing_pdf_is_made_before_anything_is_composed(self):
        self._create_default((7,), attach_invoice=True)
        invoice = self._create_invoice_due("03-01")
        self.travel("03-08")
        Enrollment = self.root["dunning.enrollment"].with_context(
            force_report_rendering=True
        )
        report = type(self.env["ir.actions.report"])
        with patch.object(report, "_run_wkhtmltopdf", return_value=b"%PDF made"):
            self.commit()
            Enrollment._run(today=self.today())
        self.env.invalidate_all()
        self.assertTrue(invoice.invoice_pdf_report_id)
        self.deliver()
        (mail,) = self.sink.mails
        self.assertEqual(list(mail.attachments.values()), [b"%PDF made"])

    def test_a_pdf_that_cannot_be_made_holds_up_its_own_reminder_only(self):
        self._create_default((7,), attach_invoice=True, grouping="invoice")
        good = self._create_invoice_due("03-01")
        good.invoice_pdf_report_file = base64.b64encode(b"%PDF")
        bad = self._create_invoice_due("03-01")
        report = type(self.env["ir.actions.report"])
        with patch.object(report, "_pre_render_qweb_pdf", side_effect=UserError("no")):
            self.run_day("03-08")
        self.assertReminders(good, "03-08 S1")
        self.assertReminders(bad)
        self.assertEqual(bad.dunning_status, "failed")
        failed = self.get_last_reminder(bad)
        self.assertIn(f"PDF of the invoice {bad.name}", failed.failure_reason)
        bad.invoice_pdf_report_file = base64.b64encode(b"%PDF made since")
        failed.action_retry()
        self.deliver()
        self.assertReminders(bad, "03-08 S1")

    def test_a_file_that_is_lost_does_not_leave_empty(self):
        """As after a backup without Odoo's files."""
        self._create_default((7,), attach_invoice=True, grouping="invoice")
        lost, good = (self._create_invoice_due("03-01") for _i in range(2))
        for invoice in lost + good:
            pdf = f"%PDF {invoice.name}".encode()
            invoice.invoice_pdf_report_file = base64.b64encode(pdf)
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE ir_attachment SET store_fname = '00/lost' WHERE id = %s",
            [lost.invoice_pdf_report_id.id],
        )
        self.env.invalidate_all()
        self.run_day("03-08")
        self.assertReminders(good, "03-08 S1")
        self.assertReminders(lost)
        failed = self.get_last_reminder(lost)
        self.assertIn("not on the server any more", failed.failure_reason)
        lost.invoice_pdf_report_id.raw = b"%PDF restored"
        failed.action_retry()
        self.deliver()
        self.assertReminders(lost, "03-08 S1")

    def test_the_pdf_of_an_invoice_paid_meanwhile_is_not_attached(self):
        self._create_default((7,), attach_invoice=True)
        invoices = self._create_invoice_due("03-01") + self._create_invoice_due("03-01")
        for invoice in invoices:
            invoice.invoice_pdf_report_file = base64.b64encode(invoice.name.encode())
        self.compose_day("03-08")
        self.pay(invoices[0])
        self.deliver()
        (mail,) = self.sink.mails
        self.assertEqual(list(mail.attachments.values()), [invoices[1].name.encode()])

    def test_a_payment_link_leads_to_the_invoice(self):
        self._create_default({"delay": 7, "body": "<p>x{{ payment_link }}</p>"})
        invoice = self._create_invoice_due("03-01")
        self.assertFalse(invoice.access_token)
        self.run_day("03-08")
        self.assertTrue(invoice.access_token)
        (mail,) = self.sink.mails
        self.assertIn(f"/my/invoices/{invoice.id}", mail.html)
        self.assertIn(invoice.access_token, mail.html)

    def test_no_payment_link_if_the_sequence_says_so(self):
        body = "<p>x{{ payment_link }}{{ invoice_table }}</p>"
        self._create_default({"delay": 7, "body": body}, payment_link=False)
        self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertNotIn("/my/invoices/", self.sink.mails[0].html)

    def test_the_text_as_sent_is_on_the_invoice(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        message = reminder.mail_message_id
        self.assertIn(message, invoice.message_ids)
        self.assertEqual(message.message_id, reminder.message_id)
        self.assertIn("$", message.body)
        self.assertEqual(message.notification_ids.notification_status, "sent")
        self.assertTrue(message.is_internal)
        self.assertEqual(self.sink.mails[0]["Message-Id"], reminder.message_id)

    def test_the_engine_writes_nothing_on_invoices(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        invoice._portal_ensure_token()

        def get_row_version():
            self.env.flush_all()
            self.env.cr.execute(
                "SELECT ctid FROM account_move WHERE id = %s"
                " UNION ALL SELECT ctid FROM account_move_line WHERE move_id = %s",
                [invoice.id, invoice.id],
            )
            return self.env.cr.fetchall()

        before = get_row_version()
        self.run_on("03-07", "03-08")
        self.assertReminders(invoice, "03-08 S1")
        self.assertEqual(get_row_version(), before)
