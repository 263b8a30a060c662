from datetime import timedelta

from odoo.tests import tagged

from .common import DunningCommon, to_date

REPLY = """\
From: {sender}
To: {to}
Subject: Re: your reminder
Message-Id: <reply-{number}@customer.example.com>
In-Reply-To: {parent}
References: {parent}
{header}
Content-Type: text/plain; charset=us-ascii

We pay tomorrow.
"""


@tagged("post_install", "-at_install")
class TestHolds(DunningCommon):
    """Reasons to wait: promises, disputes and replies. Pauses are in test_life."""

    def setUp(self):
        super().setUp()
        self.mail_server.from_filter = False  # Odoo writes to people, too
        self.sequence = self._create_default((7,), (14,), (21,))
        self.invoice = self._create_invoice_due("03-01")

    def assertHold(self, kind, until=None):
        self.assertNext(self.invoice, "held", reason=kind, until=until)

    # ------------------------------------------------------------------------
    # PROMISE
    # ------------------------------------------------------------------------

    def test_a_promise_holds_until_its_date_and_three_days_more(self):
        self.run_on("03-05")
        self.invoice.dunning_promise_date = to_date("03-10")
        self.assertEqual(self.invoice.dunning_promise_amount, 100)
        self.run_on("03-06..03-13")
        self.assertHold("promise", "03-13")
        self.assertReminders(self.invoice)
        self.run_on("03-14")
        self.assertReminders(self.invoice, "03-14 S1")
        self.assertEqual(self.invoice.dunning_hold_ids.outcome, "broken")

    def test_a_promise_paid_in_time_is_kept(self):
        self.run_on("03-05")
        self.invoice.dunning_promise_date = to_date("03-10")
        self.travel("03-09")
        self.pay(self.invoice)
        self.run_on("03-09", "03-20")
        self.assertEqual(self.invoice.dunning_hold_ids.outcome, "kept")
        self.assertReminders(self.invoice)

    def test_a_promise_kept_in_part_is_broken(self):
        self.run_on("03-05")
        self.invoice.dunning_promise_date = to_date("03-10")
        self.travel("03-09")
        self.pay(self.invoice, 60)
        self.run_on("03-09..03-14")
        self.assertEqual(self.invoice.dunning_hold_ids.outcome, "broken")
        self.assertEqual(self.get_amounts(self.invoice), [40])

    def test_another_promise_is_the_same_hold_with_another_date(self):
        self.run_on("03-05")
        self.invoice.dunning_promise_date = to_date("03-10")
        self.invoice.dunning_promise_date = to_date("03-15")
        self.assertEqual(len(self.invoice.dunning_hold_ids), 1)
        self.assertHold("promise", "03-18")

    # ------------------------------------------------------------------------
    # DISPUTE
    # ------------------------------------------------------------------------

    def test_a_dispute_holds_until_it_is_settled(self):
        self.run_on("03-08")
        self.invoice.dunning_disputed = True
        self.run_on("03-09..03-25")
        self.assertHold("dispute")
        self.invoice.dunning_disputed = False
        self.run_on("03-26..03-27")
        self.assertReminders(self.invoice, "03-08 S1", "03-26 S2")

    def test_a_dispute_is_shown_before_a_pause_and_a_promise(self):
        self.run_on("03-05")
        self.invoice.dunning_promise_date = to_date("03-30")
        self.assertHold("promise", "04-02")
        self.invoice.dunning_paused = True
        self.assertHold("pause")
        self.invoice.dunning_disputed = True
        self.assertHold("dispute")

    # ------------------------------------------------------------------------
    # REPLY
    # ------------------------------------------------------------------------

    def _reply(self, sender="azure@customer.example.com", header="X-Mailer: Post"):
        """Let the customer answer the last reminder, today."""
        reminder = self.get_last_reminder(self.invoice)
        self.number = getattr(self, "number", 0) + 1
        text = REPLY.format(
            sender=sender,
            to=self.company.email,
            parent=reminder.message_id,
            number=self.number,
            header=header,
        )
        self.root["mail.thread"].message_process(False, text)
        self.env.flush_all()
        self.env.invalidate_all()

    def test_a_reply_holds_for_a_week_and_tells_the_responsible(self):
        anna = self._create_user("anna", "account.group_account_invoice")
        self.sequence.user_id = anna
        self.run_on("03-08..03-10")
        self._reply()
        self.assertHold("reply", "03-17")
        self.assertEqual(self.invoice.activity_ids.user_id, anna)
        self.run_on("03-11..03-18")
        self.assertReminders(self.invoice, "03-08 S1", "03-18 S2")

    def test_an_answer_to_the_customer_ends_the_wait(self):
        self.run_on("03-08..03-10")
        self._reply()
        billing = self._create_user("billing", "account.group_account_invoice")
        invoice = self.invoice.with_user(billing)
        invoice.message_post(body="A note", message_type="comment")
        self.assertHold("reply", "03-17")
        invoice.message_post(
            body="Thank you",
            message_type="comment",
            subtype_xmlid="mail.mt_comment",
        )
        self.assertNext(self.invoice, "running", "03-15 S2")

    def test_an_automatic_reply_holds_nothing(self):
        self.run_on("03-08..03-10")
        for header in ("Auto-Submitted: auto-replied", "X-Autoreply: yes"):
            self._reply(header=header)
        self.assertNext(self.invoice, "running", "03-15 S2")

    def test_a_mail_of_a_colleague_holds_nothing(self):
        self._create_user("anna", "account.group_account_invoice")
        self.run_on("03-08..03-10")
        self._reply(sender="anna@test.example.com")
        self.assertNext(self.invoice, "running", "03-15 S2")

    def test_a_reply_to_a_grouped_reminder_holds_all_its_invoices(self):
        other = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self._reply()
        self.assertNext(other, "held", reason="reply", until="03-15")

    # ------------------------------------------------------------------------
    # LAST RECIPIENTS
    # ------------------------------------------------------------------------

    def test_recipients_of_the_last_mail_come_before_reminder_contacts(self):
        self._create_contact(self.customer, "Star", dunning_contact=True)
        boss = self._create_contact(self.customer, "Boss")
        self.travel("03-02")
        self.invoice.message_post(
            body="Here is the invoice",
            partner_ids=boss.ids,
            message_type="comment",
            subtype_xmlid="mail.mt_comment",
        )
        self.run_on("03-08")
        reminder = self.get_last_reminder(self.invoice)
        self.assertEqual(reminder.recipient_source, "contacts")
        self.sequence.use_last_recipients = True
        self.run_on("03-15")
        reminder = self.get_last_reminder(self.invoice)
        self.assertEqual(reminder.recipient_ids, boss)
        self.assertEqual(reminder.recipient_source, "last")

    def test_without_an_earlier_mail_the_reminder_contacts_get_it(self):
        star = self._create_contact(self.customer, "Star", dunning_contact=True)
        self.sequence.use_last_recipients = True
        self.run_on("03-08", "03-15")
        reminder = self.get_last_reminder(self.invoice)
        self.assertEqual(reminder.recipient_ids, star)
        self.assertEqual(
            reminder.date - self.invoice.invoice_date_due, timedelta(days=14)
        )

    # ------------------------------------------------------------------------
    # WHOM A HOLD IS FOR
    # ------------------------------------------------------------------------

    def test_a_pause_of_a_contact_is_one_of_his_company(self):
        brandon = self._create_contact(self.customer, "Brandon")
        self.run_on("03-05")
        self.env["dunning.hold"].create({"partner_id": brandon.id})
        self.run_on("03-06..03-10")
        self.assertHold("pause")

    def test_resuming_one_of_a_bulk_pause_leaves_the_others_paused(self):
        other = self._create_invoice_due("03-01")
        self.run_on("03-05")
        both = self.invoice | other
        self.env["dunning.hold"].create(
            {"move_ids": [(6, 0, both.ids)], "company_id": self.company.id}
        )
        self.assertEqual(both.mapped("dunning_status"), ["paused", "paused"])
        other.action_dunning_resume()
        self.assertHold("pause")
        self.assertNext(other, "running", "03-08 S1")
        self.assertEqual(other.dunning_hold_ids.outcome, "resumed")

    def test_a_promise_of_a_customer_without_invoices_is_not_kept(self):
        nobody = self._create_customer("Nobody")
        promise = self.env["dunning.hold"].create(
            {"kind": "promise", "partner_id": nobody.id, "until": to_date("03-10")}
        )
        self.run_on("03-05")
        self.assertFalse(promise.outcome)

    def test_a_hold_follows_a_customer_who_joins_a_company(self):
        hold = self.env["dunning.hold"].create({"partner_id": self.customer.id})
        group = self._create_customer("Group")
        self.customer.write({"is_company": False, "parent_id": group.id})
        self.assertEqual(hold.partner_id, group)
