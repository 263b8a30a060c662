from unittest.mock import patch

from odoo import Command
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form
from odoo.tools import mute_logger

from .common import START, DunningCommon

FEW, MANY = 5, 50


class ComposerCommon(DunningCommon):
    #: The day on which each test begins.
    DAY = START

    def setUp(self):
        super().setUp()
        self.travel(self.DAY)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.clerk = cls._create_user("clerk", "account.group_account_invoice")

    def compose(self, records, user=None, **vals):
        """Open the composer as a billing clerk; return it."""
        user = user or self.clerk
        records = records.with_user(user)
        if records._name == "dunning.enrollment":
            action = records.action_compose()
        else:
            action = records.action_dunning_compose()
        composer = self.env[action["res_model"]].browse(action["res_id"])
        composer = composer.with_user(user)
        if vals:
            composer.write(vals)
        return composer

    def send(self, composer, **vals):
        """Send as the browser does; return what the notification says."""
        if vals:
            composer.write(vals)
        action = composer.action_send()
        self.deliver()
        return action["params"]["message"]

    def assertRefused(self, composer, why, error=UserError):
        """Nothing is sent, and the composer stays open."""
        with self.assertRaisesRegex(error, why), self.env.cr.savepoint():
            composer.action_send()

    def get_mail(self):
        (mail,) = self.sink.mails
        return mail

    def _create_template(self, **vals):
        return self.env["mail.template"].create(
            {
                "name": "Friendly",
                "model_id": self.env["ir.model"]._get_id("dunning.reminder"),
                "subject": "T {{ object.invoice_number }}",
                "body_html": '<p>T <t t-out="object.amount_due"/></p>',
                **vals,
            }
        )


class TestText(ComposerCommon):
    """What it says, for this sending only (E05, I08)."""

    DAY = "03-05"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sequence = cls._create_default((7,), (14,), (30,))
        cls.travel(cls.DAY)
        cls.invoice = cls._create_invoice_due("03-01")

    def test_the_coming_step_leaves_as_it_is(self):
        composer = self.compose(self.invoice)
        self.assertTrue(composer.is_single)
        self.assertEqual(composer.email_to, '"Azure" <azure@customer.example.com>')
        self.assertEqual(composer.subject, f"S1 {self.invoice.name}")
        self.assertIn("100.00", composer.body)
        self.send(composer)
        self.assertEqual(self.get_mail().subject, f"S1 {self.invoice.name}")
        self.assertReminders(self.invoice, "03-05 S1")
        self.assertNext(self.invoice, "running", "03-15 S2")
        self.assertFalse(self.get_last_reminder(self.invoice).own_text)

    def test_what_was_shown_is_what_arrives(self):
        self.sequence.payment_link = True
        self.sequence.step_ids[0].body = (
            "<p>{{ contact_name }} {{ amount_due }}</p>"
            "{{ invoice_table }}{{ payment_link }}"
        )
        composer = self.compose(self.invoice)
        shown = composer.body
        self.send(composer)
        reminder = self.get_last_reminder(self.invoice)
        # The composer writes spaces and tags its own way, as an editor does.
        arrived = composer._fields["body"].convert_to_cache(reminder.body, composer)
        self.assertEqual(arrived, shown)
        self.assertIn("/my/invoices/", shown)

    def test_a_changed_text_leaves_and_the_step_stays_as_it_was(self):
        step = self.sequence.step_ids[0]
        before = (step.subject, step.body)
        composer = self.compose(self.invoice)
        self.send(composer, subject="Hello again", body="<p>As we said today</p>")
        self.assertEqual(self.get_mail().subject, "Hello again")
        self.assertIn("As we said today", self.get_text(self.get_mail()))
        self.assertEqual((step.subject, step.body), before)
        self.assertReminders(self.invoice, "03-05 S1")

    def test_a_written_text_never_leaves_when_the_amount_has_changed(self):
        composer = self.compose(self.invoice, subject="You owe us 100")
        composer.action_send()
        self.pay(self.invoice, 40)
        self.deliver()
        self.assertFalse(self.sink.mails)
        reminder = self.get_last_reminder(self.invoice)
        self.assertEqual(reminder.state, "failed")
        self.assertIn("Write the reminder again", reminder.failure_reason)
        self.assertNext(self.invoice, "todo", "03-08 S1", "failed")

    def test_a_text_that_nobody_changed_follows_the_amount(self):
        self.compose(self.invoice).action_send()
        self.pay(self.invoice, 40)
        self.deliver()
        self.assertIn("60.00", self.get_text(self.get_mail()))

    def test_a_written_text_waits_for_a_mail_server_and_then_leaves(self):
        composer = self.compose(self.invoice, subject="Hello")
        with self.server_down():
            composer.action_send()
            self.deliver()
        self.travel("03-07")
        self.deliver()
        self.assertEqual(self.get_mail().subject, "Hello")

    def test_a_text_that_came_back_leaves_again_to_the_new_address(self):
        composer = self.compose(self.invoice, subject="Hello")
        self.send(composer)
        reminder = self.get_last_reminder(self.invoice)
        reminder.sudo()._register_bounce({})
        self.customer.email = "new@customer.example.com"
        reminder.action_retry()
        self.deliver()
        self.assertEqual(self.sink.mails[-1].subject, "Hello")
        self.assertIn("new@customer.example.com", self.sink.mails[-1].recipients)

    def test_another_template_gives_the_text_and_the_step_counts(self):
        composer = self.compose(self.invoice, template_id=self._create_template().id)
        self.assertEqual(composer.subject, f"T {self.invoice.name}")
        self.send(composer)
        self.assertIn("T $ 100.00", self.get_text(self.get_mail()))
        self.assertReminders(self.invoice, "03-05 S1")
        self.assertEqual(self.get_last_reminder(self.invoice).step_name, "Friendly")

    def test_a_later_step_goes_on_from_there(self):
        composer = self.compose(self.invoice, step_id=self.sequence.step_ids[1].id)
        self.send(composer)
        self.assertEqual(self.get_subjects(), ["S2"])
        self.run_on("03-06..04-02")
        self.assertReminders(self.invoice, "03-05 S2", "03-31 S3")

    def test_a_step_that_was_said_gives_only_its_text(self):
        self.run_on("03-08")
        self.sink.clear()
        composer = self.compose(self.invoice, step_id=self.sequence.step_ids[0].id)
        self.send(composer)
        self.assertEqual(self.get_subjects(), ["S1"])
        self.assertReminders(self.invoice, "03-08 S1", "03-08 S2")

    def test_a_text_that_cannot_be_filled_in_says_so_at_once(self):
        broken = self._create_template(body_html='<p><t t-out="1 / 0"/></p>')
        composer = self.compose(self.invoice, template_id=broken.id)
        self.assertIn("division by zero", composer.problem)
        self.assertRefused(composer, "division by zero")

    def test_the_form_shows_another_text_when_another_step_is_chosen(self):
        form = Form(self.compose(self.invoice))
        form.step_id = self.sequence.step_ids[2]
        self.assertEqual(form.subject, f"S3 {self.invoice.name}")
        form.subject = "Mine"
        composer = form.save()
        self.send(composer)
        self.assertEqual(self.get_mail().subject, "Mine")

    def test_past_reminders_stand_beside_it(self):
        self.run_on("03-08")
        composer = self.compose(self.invoice)
        (line,) = composer.history_ids
        self.assertEqual(
            (str(line.date), line.step_name, line.state), ("2026-03-08", "S1", "sent")
        )
        self.assertIn("azure@", line.email_to)

    def test_what_waits_for_approval_gives_way(self):
        self.sequence.step_ids[0].mode = "approval"
        proposed = self.run_day("03-08")
        self.assertEqual(proposed.state, "to_approve")
        composer, late = self.compose(self.invoice), self.compose(self.invoice)
        self.assertEqual(composer.subject, f"S1 {self.invoice.name}")
        with self.env.cr.savepoint() as savepoint:  # unless another has approved it
            proposed.action_approve()
            self.deliver()
            self.assertRefused(late, "after this was opened")
            savepoint.rollback()
        self.sink.mails.clear()
        self.send(composer)
        self.assertEqual(proposed.state, "cancelled")
        self.assertReminders(self.invoice, "03-08 S1")
        self.assertNext(self.invoice, "running", "03-15 S2")

    def test_a_step_for_an_activity_has_the_text_of_the_one_before(self):
        self.sequence.step_ids[1].channel = "activity"
        self.run_on("03-08")
        composer = self.compose(self.invoice)
        self.assertEqual(composer.subject, f"S1 {self.invoice.name}")
        self.send(composer)
        self.assertReminders(self.invoice, "03-08 S1", "03-08 S2")


class TestOptions(ComposerCommon):
    """Sender, recipients and attachments (E03, I04, I05, I06)."""

    DAY = "03-05"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sequence = cls._create_default((7,), payment_link=False)
        cls.travel(cls.DAY)
        cls.invoice = cls._create_invoice_due("03-01")

    def test_sender_and_recipients_of_this_sending(self):
        composer = self.compose(self.invoice)
        self.send(
            composer,
            email_from="Bob <bob@test.example.com>",
            email_to="Eve <eve@x.example.com>; carl@x.example.com",
            email_cc="copy@x.example.com",
            email_bcc="blind@x.example.com",
        )
        mail = self.get_mail()
        self.assertIn("bob@test.example.com", mail["From"])
        self.assertEqual(
            set(mail.recipients),
            {f"{name}@x.example.com" for name in ("eve", "carl", "copy", "blind")},
        )
        self.assertNotIn("blind", str(mail.message))
        self.assertFalse(self.invoice.dunning_email_to, "for this sending only")
        reminder = self.get_last_reminder(self.invoice)
        self.assertEqual(reminder.recipient_source, "typed")

    def test_a_recipient_is_required(self):
        self.customer.email = False
        composer = self.compose(self.invoice)
        self.assertEqual(composer.lacking, "No e-mail address")
        self.assertRefused(composer, "no e-mail address.*Azure")
        self.send(composer, email_to="found@x.example.com")
        self.assertEqual(self.get_mail().recipients, ["found@x.example.com"])

    def test_what_is_no_address_is_named(self):
        composer = self.compose(self.invoice)
        for wrong in (
            "azure",
            "a@b",
            "ok@x.example.com, nonsense",
            "a@x.example.com\nBcc: b@x.example.com",
            "a@x.example.com\r\n",
            "a b@x.example.com",
        ):
            for name in ("email_to", "email_cc", "email_bcc", "email_from"):
                with self.subTest(wrong=wrong, name=name):
                    kept = composer[name]
                    composer[name] = wrong
                    self.assertRefused(composer, "is no e-mail address")
                    composer[name] = kept
        self.assertFalse(self.get_last_reminder(self.invoice))

    def test_a_line_break_in_the_subject_makes_no_header(self):
        composer = self.compose(self.invoice)
        self.send(composer, subject="Hello\r\nBcc: b@x.example.com")
        mail = self.get_mail()
        self.assertEqual(mail.subject, "Hello Bcc: b@x.example.com")
        self.assertEqual(mail.recipients, ["azure@customer.example.com"])

    def test_a_script_in_the_text_does_not_leave(self):
        composer = self.compose(self.invoice)
        self.send(composer, body='<p onclick="x()">Hi</p><script>alert(1)</script>')
        reminder = self.get_last_reminder(self.invoice)
        self.assertIn("Hi", reminder.body)
        self.assertNotIn("onclick", reminder.body)
        self.assertNotIn("script", self.get_mail().html)

    def test_payment_link_or_not(self):
        self.sequence.step_ids.body = "<p>Pay</p>{{ payment_link }}"
        composer = self.compose(self.invoice)
        self.assertNotIn("/my/invoices", composer.body)
        composer.payment_link = True
        self.assertIn("/my/invoices", composer.body)
        self.send(composer)
        self.assertIn("/my/invoices", self.get_mail().html)

    def test_the_stored_pdf_of_the_invoice(self):
        composer = self.compose(self.invoice)
        self.send(composer, attach_invoice=True)
        self.assertEqual(
            list(self.get_mail().attachments), [self.invoice.invoice_pdf_report_id.name]
        )

    def test_a_statement_of_account(self):
        self._create_invoice_due("03-20", 50)
        self._create_invoice_due("03-20", 70, self._create_customer("Other"))
        composer = self.compose(self.invoice)
        self.send(composer, attach_statement=True)
        self.assertEqual(
            list(self.get_mail().attachments), ["Statement of account 2026-03-05.pdf"]
        )
        page, _kind = self.env["ir.actions.report"]._render_qweb_html(
            "dunning_sequences.action_report_dunning_statement",
            self.get_last_reminder(self.invoice).ids,
        )
        text = page.decode().replace("\N{NO-BREAK SPACE}", " ")
        for found in ("100.00", "50.00", "150.00", self.invoice.name):
            self.assertIn(found, text)
        self.assertNotIn("70.00", text, "of nobody else")

    def test_a_sequence_attaches_statements_by_itself(self):
        self.sequence.attach_statement = True
        self.run_day("03-08")
        (name,) = self.get_mail().attachments
        self.assertIn("Statement", name)


class TestBulk(ComposerCommon):
    """Many customers at once (I03, E09, E10, G11, G12)."""

    DAY = "03-05"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sequence = cls._create_default((7,), (14,))
        cls.travel(cls.DAY)
        cls.other = cls._create_customer("Blue")
        cls.invoices = (
            cls._create_invoice_due("03-01")
            + cls._create_invoice_due("03-02", 50)
            + cls._create_invoice_due("03-01", 70, cls.other)
        )

    def get_line(self, composer, customer):
        return composer.line_ids.filtered(lambda line: line.partner_id == customer)

    def test_one_mail_per_customer(self):
        composer = self.compose(self.invoices)
        self.assertFalse(composer.is_single)
        self.assertEqual(
            composer.line_ids.mapped("amount_due"),
            ["$\N{NO-BREAK SPACE}150.00", "$\N{NO-BREAK SPACE}70.00"],
        )
        self.assertIn("2", self.send(composer))
        self.assertEqual(len(self.sink.mails), 2)
        for invoice in self.invoices:
            self.assertReminders(invoice, "03-05 S1")

    def test_in_one_mail_each_invoice_goes_on_from_its_own_step(self):
        self.run_on("03-08")
        self.sink.clear()
        older, newer, _other = self.invoices
        self.assertNext(newer, "running", "03-09 S1")
        composer = self.compose(older + newer)
        self.assertEqual(composer.step_id, self.sequence.step_ids[1])
        self.send(composer)
        self.assertEqual(self.get_subjects(), ["S2"])
        self.assertReminders(older, "03-08 S1", "03-08 S2")
        self.assertReminders(newer, "03-08 S1")

    def test_or_one_per_invoice(self):
        composer = self.compose(self.invoices, grouping="invoice")
        self.assertEqual(len(composer.line_ids), 3)
        self.send(composer)
        self.assertEqual(
            sorted(mail.subject for mail in self.sink.mails),
            sorted(f"S1 {invoice.name}" for invoice in self.invoices),
        )

    def test_invoices_with_recipients_of_their_own_have_a_mail_of_their_own(self):
        self.invoices[1].dunning_email_to = "site@customer.example.com"
        composer = self.compose(self.invoices)
        self.assertEqual(len(composer.line_ids), 3)

    def test_one_text_for_all_with_merge_fields(self):
        composer = self.compose(
            self.invoices,
            is_typed=True,
            typed_subject="Please: {{ invoice_number }}",
            typed_body="<p>{{ customer_name }} owes {{ amount_due }}</p>",
            preview_move_id=self.invoices[2].id,
        )
        self.assertEqual(composer.preview_subject, f"Please: {self.invoices[2].name}")
        self.send(composer)
        texts = " ".join(self.get_text(mail) for mail in self.sink.mails)
        self.assertIn("Azure owes $ 150.00", texts)
        self.assertIn("Blue owes $ 70.00", texts)
        self.assertReminders(self.invoices[0], "03-05 S1")

    def test_a_typed_text_begins_with_the_one_of_the_step(self):
        composer = self.compose(self.invoices, is_typed=True)
        self.assertEqual(composer.typed_subject, "S1 {{ invoice_number }}")

    def test_a_typed_text_is_checked_before_anything_leaves(self):
        for wrong in ("{{ salary }}", "{{ amount_due.__class__ }}", "{% for x in y %}"):
            composer = self.compose(
                self.invoices, is_typed=True, typed_subject="X", typed_body=wrong
            )
            self.assertRefused(composer, "", ValidationError)

    def test_a_typed_text_is_written_anew_when_an_invoice_is_paid(self):
        composer = self.compose(
            self.invoices[:2] + self.invoices[2],
            is_typed=True,
            typed_subject="Please",
            typed_body="<p>{{ amount_due }}</p>",
        )
        composer.action_send()
        self.pay(self.invoices[1])
        self.deliver()
        texts = " ".join(self.get_text(mail) for mail in self.sink.mails)
        self.assertIn("$ 100.00", texts)
        self.assertNotIn("150.00", texts)

    def test_what_is_left_out_is_said_before_and_after(self):
        paid, disputed, remaining = self.invoices
        self.pay(paid)
        disputed.dunning_disputed = True
        composer = self.compose(self.invoices)
        self.assertEqual(composer.line_ids.move_ids, remaining)
        self.assertEqual(
            composer.skip_ids.mapped(lambda s: (s.move_id, s.reason)),
            [(paid, "Paid"), (disputed, "Dispute")],
        )
        self.assertIn(f"{paid.name} (Paid)", composer.skip_summary)
        message = self.send(composer)
        self.assertIn(f"{disputed.name} (Dispute)", message)
        self.assertReminders(disputed)

    def test_what_is_held_while_the_composer_is_open_does_not_leave(self):
        composer = self.compose(self.invoices)
        self.invoices[2].dunning_paused = True
        self.pay(self.invoices[1])
        message = self.send(composer)
        self.assertIn("Paused", message)
        self.assertEqual(len(self.sink.mails), 1)
        self.assertIn("100.00", self.get_text(self.get_mail()))

    def test_what_is_held_before_it_leaves_is_cancelled(self):
        composer = self.compose(self.invoices)
        composer.action_send()
        self.invoices[2].dunning_disputed = True
        self.deliver()
        self.assertEqual(len(self.sink.mails), 1)
        self.assertEqual(self.get_last_reminder(self.invoices[2]).state, "cancelled")

    def test_a_missing_address_is_typed_in_and_kept(self):
        self.other.email = False
        self.clerk.group_ids += self.env.ref("base.group_partner_manager")
        composer = self.compose(self.invoices)
        line = self.get_line(composer, self.other)
        self.assertFalse(line.is_chosen)
        self.assertEqual(line.lacking, "No e-mail address")
        line.write(
            {
                "email_to": "Zoe <zoe@blue.example.com>",
                "is_chosen": True,
                "keep_contact": True,
            }
        )
        self.send(composer)
        contact = self.other.child_ids
        self.assertEqual(contact.mapped("name"), ["Zoe"])
        self.assertTrue(contact.dunning_contact)
        reminder = self.get_last_reminder(self.invoices[2])
        self.assertEqual(reminder.recipient_ids, contact)
        self.assertEqual(
            self.invoices[2]._get_dunning_recipients()[self.invoices[2].id]["source"],
            "contacts",
        )

    def test_an_address_that_is_known_is_starred_and_not_doubled(self):
        contact = self._create_contact(self.other, "Zoe", email="zoe@blue.example.com")
        self.clerk.group_ids += self.env.ref("base.group_partner_manager")
        composer = self.compose(self.invoices)
        self.get_line(composer, self.other).write(
            {"email_to": "zoe@blue.example.com", "keep_contact": True}
        )
        self.send(composer)
        self.assertEqual(self.other.child_ids, contact)
        self.assertTrue(contact.dunning_contact)

    def test_who_may_not_write_contacts_keeps_none(self):
        composer = self.compose(self.invoices)
        self.assertFalse(composer.can_keep_contacts)
        self.get_line(composer, self.other).write(
            {"email_to": "zoe@blue.example.com", "keep_contact": True}
        )
        self.assertRefused(composer, "", AccessError)

    def test_unticked_customers_get_nothing_and_are_named(self):
        composer = self.compose(self.invoices)
        self.get_line(composer, self.other).is_chosen = False
        message = self.send(composer)
        self.assertIn(f"{self.invoices[2].name} (Not ticked)", message)
        self.assertReminders(self.invoices[2])

    def test_one_customer_without_address_is_named_when_ticked(self):
        self.other.email = False
        composer = self.compose(self.invoices)
        composer.line_ids.is_chosen = True
        self.assertRefused(composer, "Blue")

    def test_the_work_list_opens_it_too(self):
        self.drain()
        composer = self.compose(self.invoices.dunning_enrollment_ids)
        self.assertEqual(composer.move_ids, self.invoices)

    def test_a_customer_is_reminded_of_all_that_is_due(self):
        self._create_invoice_due("04-20")
        composer = self.compose(self.customer)
        self.assertEqual(composer.move_ids, self.invoices[:2])
        self.pay(self.invoices[:2])
        with self.assertRaisesRegex(UserError, "all is paid"):
            self.compose(self.customer)

    def test_nothing_to_send_says_why(self):
        self.pay(self.invoices[2])
        composer = self.compose(self.invoices[2])
        self.assertRefused(composer, r"\(Paid\)")

    def test_of_instalments_those_that_are_due(self):
        invoice = self._create_invoice_in_instalments(
            ("02-10", 30),
            ("03-01", 30),
            ("05-01", 40),
            invoice_date=self.today(),
            customer=self.other,
        )
        composer = self.compose(invoice)
        self.assertEqual(composer.line_ids.amount_due, "$\N{NO-BREAK SPACE}60.00")
        self.send(composer)
        lines = self.get_last_reminder(invoice).line_ids
        self.assertEqual(
            [str(d) for d in sorted(lines.mapped("due_date"))],
            ["2026-02-10", "2026-03-01"],
        )


class TestOutsideSequences(ComposerCommon):
    """Invoices that follow nothing can be reminded, too."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["dunning.sequence"].search([]).unlink()  # the ready-made ones

    def test_without_any_running_sequence(self):
        sequence = self._create_sequence(((7,), (14,)), start=False)
        self.travel("03-10")
        invoice = self._create_invoice_due("03-01")
        composer = self.compose(invoice)
        self.assertEqual(composer.subject, f"S1 {invoice.name}", "the age says it")
        self.send(composer)
        self.assertReminders(invoice, "03-10 S1")
        # Sent again it is a text, and no step.
        self.travel("03-11")
        self.send(self.compose(invoice, step_id=sequence.step_ids[0].id))
        mails = [m for m in self.sink.mails if "azure" in str(m.recipients)]
        self.assertEqual(len(mails), 2, "that of the run, and one by hand")
        lines = invoice.dunning_reminder_line_ids
        self.assertEqual(set(lines.step_id), set(sequence.step_ids[0]))
        self.assertEqual(len(lines.filtered("step_id")), 1)

    def test_the_same_step_does_not_leave_again_when_the_sequence_starts(self):
        sequence = self._create_sequence(((7,), (14,)), start=False, catch_up="first")
        self.travel("03-10")
        invoice = self._create_invoice_due("03-01")
        self.send(self.compose(invoice))
        sequence.action_start()
        self.company.dunning_sequence_id = sequence
        self.run_on("03-10..03-20")
        self.assertReminders(invoice, "03-10 S1", "03-17 S2")

    def test_an_invoice_that_is_to_get_no_reminders_can_get_one_by_hand(self):
        self._create_default((7,), (14,))
        self.travel("03-10")
        invoice = self._create_invoice_due("03-01", dunning_policy="none")
        self.send(self.compose(invoice))
        self.assertEqual(len(self.sink.mails), 1)
        self.run_on("03-11..03-20")
        self.assertEqual(len(self.sink.mails), 1)

    def test_with_a_template_alone(self):
        self.travel("03-10")
        invoice = self._create_invoice_due("03-01")
        composer = self.compose(invoice, template_id=self._create_template().id)
        self.send(composer)
        self.assertEqual(self.get_mail().subject, f"T {invoice.name}")
        line = invoice.dunning_reminder_line_ids
        self.assertFalse(line.step_id)
        self.assertEqual(line.step_name, "Friendly")

    def test_without_any_text_it_says_so(self):
        self.travel("03-10")
        composer = self.compose(self._create_invoice_due("03-01"))
        self.assertIn("Choose", composer.problem)

    def test_an_invoice_older_than_the_start_goes_on_from_there(self):
        self.travel("03-20")
        invoice = self._create_invoice_due("03-01")
        self._create_default((7,), {"delay": 14, "repeat_every": 5, "repeat_max": 1})
        self.drain()
        self.assertNext(invoice, "held", reason="older")
        self.run_on("03-20..03-22")
        self.send(self.compose(invoice))
        self.assertReminders(invoice, "03-22 S2")
        self.run_on("03-23..04-05")
        self.assertReminders(invoice, "03-22 S2", "03-27 S2")

    def test_after_the_last_step_it_says_the_last_text_again(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.travel("03-20")
        self.send(self.compose(invoice))
        self.assertReminders(invoice, "03-08 S1", "03-20 S1")
        self.assertNext(invoice, "done")


class TestOutcomes(ComposerCommon):
    """Send, print, or only record (E07)."""

    DAY = "03-08"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.customer.write({"street": "Main Street 1", "zip": "1000", "city": "Town"})
        cls._create_default((7,), (14,))
        cls.travel(cls.DAY)
        cls.invoice = cls._create_invoice_due("03-01")

    def test_a_call_is_recorded_with_a_note(self):
        composer = self.compose(
            self.invoice,
            outcome="recorded",
            contact_kind="phone",
            note="Pays <b>soon</b>",
        )
        self.send(composer)
        self.assertFalse(self.sink.mails)
        reminder = self.get_last_reminder(self.invoice)
        self.assertEqual((reminder.state, reminder.subject), ("recorded", "Phone call"))
        self.assertIn("&lt;b&gt;soon", reminder.body)
        message = self.invoice.message_ids[0]
        self.assertEqual(message.author_id, self.clerk.partner_id)
        self.assertIn("&lt;b&gt;soon", message.body)
        self.assertReminders(self.invoice, "03-08 S1")
        self.assertNext(self.invoice, "running", "03-15 S2")

    def test_without_address_a_call_can_be_recorded(self):
        self.customer.email = False
        composer = self.compose(self.invoice, outcome="recorded")
        self.assertFalse(composer.lacking)
        self.send(composer)
        self.assertReminders(self.invoice, "03-08 S1")

    def test_a_letter_is_printed(self):
        form = Form(self.compose(self.invoice))
        form.subject = "Your debt"
        form.outcome = "letter"
        self.assertEqual(form.subject, "Your debt", "what was written stays")
        composer = form.save()
        action = composer.action_send()
        self.assertEqual(action["type"], "ir.actions.report")
        letter = self.get_last_reminder(self.invoice)
        self.assertEqual(
            (letter.state, letter.channel, letter.subject),
            ("sent", "letter", "Your debt"),
        )
        self.assertReminders(self.invoice, "03-08 S1")
        self.deliver()
        self.assertFalse(self.sink.mails)

    def test_who_has_no_postal_address_is_named(self):
        self.customer.city = False
        composer = self.compose(self.invoice, outcome="letter")
        self.assertEqual(composer.line_ids.lacking, "No postal address")


class TestSafety(ComposerCommon):
    """Nothing is forged, nothing leaves twice."""

    DAY = "03-05"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._create_default((7,), (14,))
        cls.travel(cls.DAY)
        cls.invoice = cls._create_invoice_due("03-01")
        cls.other = cls._create_customer("Blue")
        cls.foreign = cls._create_invoice_due("03-01", 70, cls.other)

    def test_two_clicks_send_once(self):
        composer = self.compose(self.invoice)
        composer.action_send()
        self.assertRefused(composer, "already")
        self.deliver()
        self.assertEqual(len(self.sink.mails), 1)

    def test_two_people_send_once(self):
        first, second = self.compose(self.invoice), self.compose(self.invoice)
        first.action_send()
        self.assertRefused(second, "about to leave")
        self.deliver()
        self.assertRefused(second, "Reminded by Clerk at .*, after this was opened")
        self.assertEqual(len(self.sink.mails), 1)

    def test_a_reminder_that_is_touched_is_not_said_again(self):
        self.run_on("03-08")
        self.sink.mails.clear()
        self.travel("03-09")
        composer = self.compose(self.invoice)
        self.env.cr.execute(
            "UPDATE dunning_reminder SET write_date = now() + INTERVAL '1 minute'"
        )
        self.send(composer)
        self.assertEqual(len(self.sink.mails), 1)

    def test_a_template_that_fails_for_one_customer_fails_alone(self):
        """Also where instalments are only in memory, which a savepoint forgets."""
        customer = self.other.id
        template = self._create_template(
            body_html=f'<t t-if="object.partner_id.id == {customer}">'
            '<t t-out="1 / 0"/></t><p>Fine</p>'
        )
        composer = self.compose(self.invoice + self.foreign, template_id=template.id)
        with mute_logger("odoo.addons.base.models.ir_qweb"):
            said = self.send(composer)
        self.assertIn(f"Failed: {self.foreign.name}", said)
        self.assertEqual(self.get_mail().recipients, ["azure@customer.example.com"])
        self.assertReminders(self.invoice, "03-05 S1")
        self.assertEqual(self.get_last_reminder(self.foreign).partner_id, self.other)

    def test_the_database_refuses_two_by_hand_at_one_instant(self):
        """Also without a step: two who look at the same history have the same turn."""
        self.run_on("03-08")
        self.travel("03-09")
        self.invoice.dunning_policy = "none"
        with patch.object(
            self.env.registry["dunning.reminder"],
            "_get_turns",
            lambda _self, moves: dict.fromkeys(moves.ids, 1),
        ):
            self.send(self.compose(self.invoice))
            composer = self.compose(self.invoice)
            noting = self.compose(self.invoice)
            noting.outcome = "recorded"
            self.env.flush_all()
            with mute_logger("odoo.sql_db"):
                self.assertRefused(composer, "Somebody else reminded of it")
                self.assertRefused(noting, "Somebody else reminded of these")
        mails = [m for m in self.sink.mails if "azure" in str(m.recipients)]
        self.assertEqual(len(mails), 2, "that of the run, and one by hand")

    def test_an_auditor_opens_nothing(self):
        auditor = self._create_user("auditor", "account.group_account_readonly")
        for records in (self.invoice, self.customer):
            with self.assertRaises(AccessError):
                self.compose(records, auditor)
        with self.assertRaises(AccessError):
            self.env["dunning.reminder.compose"].with_user(auditor).create(
                {"move_ids": [Command.set(self.invoice.ids)]}
            )

    def test_invoices_of_another_company_are_refused(self):
        company = self.env["res.company"].create({"name": "Other"})
        stranger = self._create_user(
            "stranger",
            "account.group_account_invoice",
            company_id=company.id,
            company_ids=[Command.set(company.ids)],
        )
        with self.assertRaises(AccessError):
            self.compose(self.invoice, stranger)
        with self.assertRaises(AccessError):
            self.env["dunning.reminder.compose"].with_user(stranger).create(
                {"move_ids": [Command.set(self.invoice.ids)]}
            )

    def test_a_message_about_other_invoices_is_refused(self):
        composer = self.compose(self.invoice)
        composer.line_ids.move_ids += self.foreign
        self.assertRefused(composer, "", AccessError)

    def test_a_message_about_two_customers_is_refused(self):
        composer = self.compose(self.invoice + self.foreign)
        first, second = composer.line_ids
        first.move_ids += second.move_ids
        second.unlink()
        self.assertRefused(composer, "", AccessError)

    def test_a_message_about_an_invoice_twice_is_refused(self):
        composer = self.compose(self.invoice + self.foreign)
        composer.line_ids[0].copy({"move_ids": composer.line_ids[0].move_ids.ids})
        self.assertRefused(composer, "", AccessError)

    def test_a_template_of_something_else_is_refused(self):
        template = self._create_template(
            model_id=self.env["ir.model"]._get_id("res.partner"),
            subject="T",
            body_html="<p>T</p>",
        )
        with self.assertRaisesRegex(UserError, "Payment Reminder"):
            self.compose(self.invoice, template_id=template.id).flush_recordset()

    def test_somebody_elses_composer_is_out_of_reach(self):
        composer = self.compose(self.invoice)
        colleague = self._create_user("colleague", "account.group_account_invoice")
        with self.assertRaises(AccessError):
            composer.with_user(colleague).action_send()

    def test_only_the_chosen_invoices_are_named(self):
        self._create_invoice_due("03-01", 33)
        self.drain()
        step = self.company.dunning_sequence_id.step_ids[0]
        step.body = "{{ invoice_table }}"
        self.send(self.compose(self.invoice))
        self.assertNotIn("33.00", self.get_text(self.get_mail()))


class TestCost(ComposerCommon):
    def test_opening_costs_the_same_for_few_and_for_many(self):
        self._create_default((7,), (14,))
        counts = []
        for number in (FEW, FEW, MANY):
            invoices = self.env["account.move"]
            for i in range(number):
                customer = self._create_customer(f"C{number}-{i}")
                invoices += self._create_invoice_due(
                    "03-01", customer=customer, post=False
                )
            invoices.action_post()
            self.travel("03-10")
            self.drain()
            before = self.env.cr.sql_log_count
            composer = self.compose(invoices)
            self.env.flush_all()
            counts.append(self.env.cr.sql_log_count - before)
            self.assertEqual(len(composer.line_ids), number)
        # Rows are inserted a hundred at a time, whatever their number.
        self.assertLessEqual(counts[2], counts[1] + 10, counts)
