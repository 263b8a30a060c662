from unittest.mock import patch

from odoo import Command
from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import DunningCommon


@tagged("post_install", "-at_install")
class TestRetention(DunningCommon):
    """Sent texts are kept as long as the company says; the facts stay."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sequence = cls._create_default((7,), (14,))
        cls.contact = cls._create_contact(cls.customer, "Ann", dunning_contact=True)
        cls.invoice = cls._create_invoice_due("03-01", dunning_email_cc="cc@x.example")

    def erase(self, day):
        """What Odoo's daily cleaning does, until nothing is left."""
        self.travel(day)
        found = []
        more = True
        while more:
            count, more = self.root["dunning.reminder"]._gc_texts()
            found.append(count)
        self.env.invalidate_all()
        return sum(found)

    def get_words(self, reminder):
        return [
            word
            for word in (
                reminder.subject,
                reminder.body,
                reminder.own_body,
                reminder.email_to,
                reminder.email_cc,
                reminder.recipient_ids.name,
                reminder.refused,
                reminder.failure_reason,
                reminder.partner_name,
            )
            if word
        ]

    def test_nothing_is_erased_unless_the_company_says_so(self):
        self.run_on("03-08")
        self.assertEqual(self.erase("12-31"), 0)
        self.assertTrue(self.get_last_reminder(self.invoice).body)
        with self.assertRaises(ValidationError):
            self.company.dunning_keep_months = -1

    def test_the_text_goes_and_the_facts_stay(self):
        self.sequence.attach_statement = True
        self.company.dunning_keep_months = 3
        self.run_on("03-08", "03-15")
        first, second = self.invoice.dunning_reminder_ids.sorted("id")
        message, message_id = first.mail_message_id, first.message_id
        file = message.attachment_ids.filtered(lambda f: f.res_model == first._name)
        self.assertTrue(file)
        self.assertEqual(self.erase("06-08"), 0)
        self.assertEqual(self.erase("06-09"), 1)
        self.assertEqual(self.get_words(first), [])
        self.assertEqual(str(first.erased_on), "2026-06-09")
        self.assertFalse(file.exists())
        self.assertFalse(message.partner_ids)
        self.assertFalse(message.subject)
        self.assertIn("The text was erased on 06/09/2026.", message.body)
        self.assertFalse(message.notification_ids)
        # What was done, when, about what, and what became of it.
        self.assertReminders(self.invoice, "03-08 S1", "03-15 S2")
        self.assertEqual(first.line_ids.amount, 100)
        self.assertEqual((first.state, first.channel), ("sent", "email"))
        self.assertEqual(
            (first.partner_id, first.message_id), (self.customer, message_id)
        )
        self.assertEqual(first.display_name, f"S1: {self.invoice.name}")
        self.assertTrue(second.body, "younger")
        with Form(first) as form:
            self.assertTrue(form.erased_on)
        self.assertEqual(self.erase("06-10"), 0, "once")

    def test_what_is_still_to_leave_keeps_its_text(self):
        self.company.dunning_keep_months = 1
        self.sequence.step_ids[1].mode = "approval"
        with self.server_down():
            self.run_day("03-08")
        waiting = self.get_last_reminder(self.invoice)
        self.assertEqual(waiting.state, "queued")
        self.assertEqual(self.erase("12-01"), 0)
        self.travel("03-09")
        self.deliver(now=self.now())
        self.run_on("03-16")
        pending = self.get_last_reminder(self.invoice)
        self.assertEqual(pending.state, "to_approve")
        self.assertEqual(self.erase("12-01"), 1)
        self.assertTrue(pending.body)

    def test_some_at_a_time(self):
        self.company.dunning_keep_months = 1
        for number in range(3):
            self._create_invoice_due(
                "03-01", customer=self._create_customer(f"C{number}")
            )
        self.run_on("03-08")
        path = "odoo.addons.dunning_sequences.models.retention.ERASE_CHUNK"
        self.travel("05-01")
        with patch(path, 2):
            gc = self.root["dunning.reminder"]._gc_texts
            self.assertEqual([gc(), gc(), gc()], [(2, True), (2, True), (0, False)])

    def test_answers_lose_their_words_when_nothing_waits_for_them(self):
        self.company.dunning_keep_months = 1
        self.run_on("03-08")
        reminder = self.get_last_reminder(self.invoice)
        said = {
            "kind": "problem",
            "reason": "other",
            "note": "My doctor says",
            "move_ids": self.invoice,
        }
        answer = self.root["dunning.answer"]._accept(reminder.with_env(self.root), said)
        answer.hold_id.until = "2026-06-30"
        vals = {"move_ids": [Command.set(self.invoice.ids)], "closed_on": self.today()}
        part = answer.hold_id.copy(vals)  # as when some of its invoices are settled
        plan = part.copy({**vals, "reason": "Payment plan"})
        plan.plan_id = plan
        self.assertEqual(self.erase("06-01"), 0, "it is being clarified")
        self.assertEqual(self.erase("07-01"), 1)
        self.env.invalidate_all()
        self.assertEqual((part + plan).mapped("note"), [False, False])
        self.assertEqual((part + plan).mapped("reason"), [False, "Payment plan"])
        self.assertEqual((answer.kind, answer.reason), ("problem", "other"))
        self.assertFalse(answer.note)
        self.assertFalse(answer.hold_id.note)
        for text in self.invoice.message_ids.mapped("body"):
            self.assertNotIn("My doctor says", text)

    def test_a_bounced_one_is_sent_again_after_its_text_was_erased(self):
        """The failure is a fact; the address that it names is none."""
        self.company.dunning_keep_months = 1
        self.run_on("03-08")
        reminder = self.get_last_reminder(self.invoice)
        reminder.sudo()._register_bounce({self.contact.email: "550 No such user"})
        self.assertEqual(self.erase("05-01"), 1)
        self.assertEqual(reminder.state, "bounced")
        self.assertFalse(self.customer.dunning_bounced)
        self.assertEqual(self.get_words(reminder), [])
        reminder.action_retry()
        again = self.get_last_reminder(self.invoice)
        self.assertFalse(again.erased_on)
        self.assertEqual(again.partner_name, "Azure")
        self.assertTrue(again.body)
        # What somebody wrote for this one customer cannot be written again.
        reminder = again
        reminder.sudo().write({"state": "failed", "own_text": "written"})
        reminder.sudo()._erase_texts(self.company, self.today())
        with self.assertRaisesRegex(UserError, "was erased"):
            reminder.action_retry()
        reminder.sudo().channel = "letter"
        with self.assertRaisesRegex(UserError, "was erased"):
            reminder.action_print()

    @mute_logger("odoo.models.unlink")
    def test_a_contact_who_is_gone_or_has_no_name_any_more(self):
        self.company.dunning_keep_months = 1
        self.run_on("03-08")
        reminder = self.get_last_reminder(self.invoice)
        self.contact.unlink()
        self.customer.write({"name": "Anonymous", "email": False})
        self.env.invalidate_all()
        self.assertIn("ann@", reminder.email_to)
        self.assertEqual(reminder.partner_id.name, "Anonymous")
        with Form(reminder):
            pass
        self.run_on("03-15")
        self.assertNext(self.invoice, "todo", "03-15 S2", "no_recipient")
        self.assertEqual(self.erase("05-01"), 1)
        self.assertEqual(self.get_words(reminder), [])
        self.assertReminders(self.invoice, "03-08 S1")
