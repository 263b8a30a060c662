from odoo.tests import tagged
from odoo.tools import file_open, mute_logger

from .common import DunningCommon

#: Mails in tests/data: what Postfix, mail programs and machines really write. This
#: stands for the reminder's Message-Id…
REMINDER = "REMINDER@company.example.com"
#: …and this for the customer's address.
CUSTOMER = "customer@customer.example.com"


@tagged("post_install", "-at_install")
class TestIncoming(DunningCommon):
    """What comes back by mail: reports of mail servers, answers, machines."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.domain = cls.env["mail.alias.domain"].search([], limit=1)
        cls.domain = cls.domain or cls.domain.create({"name": "company.example.com"})
        cls.company.alias_domain_id = cls.domain
        cls.mail_server.from_filter = f"test.example.com, {cls.domain.name}"
        cls.accountant = cls._create_user("accountant", "account.group_account_invoice")
        cls._create_default((7,), (14,), user_id=cls.accountant.id)

    def write_reminders(self, *emails, copy=False):
        """Return reminders that are about to leave, to new customers of these."""
        self.travel("03-02")
        invoices = self.env["account.move"]
        for email in emails:
            customer = self._create_customer(email, email=email)
            invoices += self._create_invoice_due("03-01", customer=customer)
        invoices.dunning_email_cc = copy
        self.compose_day("03-08")
        return [self.get_last_reminder(invoice) for invoice in invoices]

    def remind(self, *emails, copy=False):
        """Return reminders that have left to new customers of these addresses."""
        reminders = self.write_reminders(*emails, copy=copy)
        self.deliver()
        return reminders

    def receive(self, name, reminder, **replaced):
        """Let Odoo's mail gateway receive a mail of tests/data."""
        with file_open(f"dunning_sequences/tests/data/{name}.eml") as file:
            text = file.read()
        replaced = {
            REMINDER: reminder.message_id.strip("<>"),
            "bounce@company.example.com": self.domain.bounce_email,
            "catchall@company.example.com": self.domain.catchall_email,
            **replaced,
        }
        for before, after in replaced.items():
            text = text.replace(before, after)
        with mute_logger("odoo.addons.mail.models.mail_thread"):
            self.root["mail.thread"].message_process(None, text)
        self.env.invalidate_all()

    def get_replies(self, reminder):
        holds = reminder.move_id.dunning_hold_ids.filtered(
            lambda hold: hold.kind == "reply" and not hold.closed_on
        )
        return len(holds)

    # ------------------------------------------------------------------------
    # REPORTS
    # ------------------------------------------------------------------------

    def assertUntouched(self, reminder):
        """It has arrived, and counts."""
        name = reminder.email_to
        self.assertEqual(reminder.state, "sent", name)
        self.assertTrue(reminder.line_ids.counts, name)
        self.assertEqual(reminder.partner_id.message_bounce, 0, name)
        notification = reminder.mail_message_id.notification_ids
        self.assertEqual(notification.notification_status, "sent", name)

    def test_what_could_not_be_delivered_bounces(self):
        """At once, or when the mail server gave up after days (a 4xx at the end)."""
        addresses = ("customer@gone.example.com", "customer@full.example.com")
        reminders = self.remind(*addresses)
        self.receive("dsn_failed_unknown", reminders[0])
        self.receive("dsn_failed_expired", reminders[1])
        self.drain()
        for reminder, email, answer in zip(
            reminders, addresses, ("550 5.1.1", "452 4.2.2"), strict=True
        ):
            self.assertEqual(reminder.state, "bounced")
            self.assertIn(f"to {email} came back", reminder.failure_reason)
            self.assertIn(answer, reminder.failure_reason)
            self.assertFalse(reminder.line_ids.counts)
            self.assertEqual(reminder.partner_id.message_bounce, 1)
            notification = reminder.mail_message_id.notification_ids
            self.assertEqual(notification.notification_status, "bounce")
            self.assertEqual(reminder.move_id.dunning_status, "failed")

    def test_a_copy_that_came_back_is_noted(self):
        """Nobody else is blamed for it, and who has that address is."""
        copy = "boss@gone.example.com"
        first, second = self.remind("a@x.example.com", "b@x.example.com", copy=copy)
        self.receive("dsn_failed_copy", first)
        self.assertUntouched(first)
        self.assertIn("boss@gone.example.com: 550 5.1.1", first.refused)
        boss = self._create_customer("Boss", email=copy)
        self.receive("dsn_failed_copy", second)
        self.assertUntouched(second)
        self.assertEqual(boss.message_bounce, 1)

    def test_late_delivered_or_read_is_no_bounce(self):
        late, delivered, read = self.remind(
            "customer@slow.example.com", "receipt@customer.example.com", CUSTOMER
        )
        self.receive("dsn_delayed", late)
        self.receive("dsn_delivered", delivered)
        self.receive("auto_read_receipt", read)
        for reminder in (late, delivered, read):
            self.assertUntouched(reminder)

    def test_a_mail_box_behind_the_customers_address(self):
        """It is forwarded to another one; the report may not name the first one."""
        named, hidden = self.remind(
            "customer@gone.example.com", CUSTOMER, copy="boss@x.example.com"
        )
        final = "Final-Recipient: rfc822; customer@gone.example.com"
        other = {final: "Final-Recipient: rfc822; private@x.example.com"}
        self.receive("dsn_failed_unknown", named, **other)
        self.assertEqual(named.state, "bounced")
        self.assertIn("customer@gone.example.com", named.failure_reason)
        self.receive("dsn_failed_unknown", hidden)
        self.assertEqual(hidden.state, "bounced", "it is not about the copy")

    def test_a_bounce_that_is_faster_than_our_own_note(self):
        """The worker died after the dot; the report comes before `_recover`."""
        (reminder,) = self.write_reminders("customer@gone.example.com")
        self.receive("dsn_failed_unknown", reminder)
        self.assertEqual(reminder.state, "queued", "the journal knows of no hand-over")
        self.env["dunning.attempt"]._write_ahead(reminder.message_id, 1)
        self.receive("dsn_failed_unknown", reminder)
        self.assertEqual(reminder.state, "bounced")
        self.deliver()
        self.assertFalse(self.sink.mails)

    # ------------------------------------------------------------------------
    # ANSWERS
    # ------------------------------------------------------------------------

    def remind_and_receive(self, *names):
        """Each mail from a customer of its own."""
        addresses = [f"{name}@customer.example.com" for name in names]
        reminders = self.remind(*addresses)
        for name, address, reminder in zip(names, addresses, reminders, strict=True):
            self.receive(name, reminder, **{CUSTOMER: address})
        return reminders

    def test_answers_of_people_hold(self):
        """Whatever program they use, whoever answers, from whatever address."""
        reminders = self.remind_and_receive(
            "reply_gmail",
            "reply_outlook",
            "reply_apple_mail",
            "reply_thunderbird",
            "reply_phone",
            "reply_other_address",
            "reply_forwarded",
            "reply_group",
        )
        self.run_on("03-15")
        for reminder in reminders:
            name, invoice = reminder.email_to, reminder.move_id
            self.assertEqual(self.get_replies(reminder), 1, name)
            self.assertEqual(invoice.activity_ids.user_id, self.accountant, name)
            message = invoice.message_ids[0]
            self.assertIn("paid this on Friday", message.body, name)
            self.assertFalse(message.is_internal, "followers are told")
            self.assertUntouched(reminder)
            self.assertReminders(invoice, "03-08 S1")

    def test_machines_hold_nothing(self):
        reminders = self.remind_and_receive(
            "auto_exchange",
            "auto_exchange_from",
            "auto_gmail",
            "auto_vacation",
            "auto_ticket",
        )
        for reminder in reminders:
            self.assertEqual(self.get_replies(reminder), 0, reminder.email_to)
            self.assertFalse(reminder.move_id.activity_ids, reminder.email_to)
            self.assertUntouched(reminder)

    def test_an_answer_from_our_own_mail_program_ends_the_wait(self):
        (reminder,) = self.remind_and_receive("reply_gmail")
        self.assertEqual(self.get_replies(reminder), 1)
        ours = {CUSTOMER: self.accountant.email}
        self.receive("auto_gmail", reminder, **ours)
        self.assertEqual(self.get_replies(reminder), 1, "only his machine answered")
        self.receive("reply_thunderbird", reminder, **ours)
        self.assertEqual(self.get_replies(reminder), 0)
        self.drain()
        self.assertNext(reminder.move_id, "running", "03-15 S2")
