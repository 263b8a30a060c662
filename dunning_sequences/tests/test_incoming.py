from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import file_open, mute_logger
from odoo.tools.mail import email_normalize_all

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

    def test_somebody_asks_for_another_address_once(self):
        """…and sends it there, and keeps it; until then the customer is marked."""
        (reminder,) = self.remind("customer@gone.example.com")
        customer, invoice = reminder.partner_id, reminder.move_id
        self._create_invoice_due("03-09", customer=customer)
        self.receive("dsn_failed_unknown", reminder)
        (asked,) = customer.activity_ids
        self.assertEqual(asked.user_id, self.accountant)
        self.assertEqual(asked.summary, "Ask for another e-mail address")
        self.assertIn("did not reach", asked.note)
        self.assertIn("550 5.1.1", asked.note)
        self.run_on("03-16")
        self.receive("dsn_failed_unknown", reminder.search([], limit=1))
        self.assertEqual(customer.activity_ids, asked)
        self.assertIn("customer@gone.example.com", customer.dunning_bounced)
        self.assertIn("03/16/2026", customer.dunning_bounced)
        action = reminder.action_other_address()
        composer = self.env[action["res_model"]].browse(action["res_id"])
        self.assertEqual((composer.email_to, composer.keep_contact), ("", True))
        composer.email_to = "new@customer.example.com"
        composer.action_send()
        self.deliver()
        self.assertEqual(self.sink.mails[-1]["To"], "new@customer.example.com")
        self.assertReminders(invoice, "03-16 S1")
        recipients = invoice._get_dunning_recipients()[invoice.id]
        self.assertEqual(recipients["partners"].email, "new@customer.example.com")

    def test_an_address_where_it_arrives_again_is_marked_no_more(self):
        """The mail box was only full."""
        (reminder,) = self.remind("customer@full.example.com")
        self.receive("dsn_failed_expired", reminder)
        customer = reminder.partner_id
        self.assertTrue(customer.dunning_bounced)
        reminder.action_retry()
        self.deliver()
        self.env.invalidate_all()
        self.assertFalse(customer.dunning_bounced)

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
        told = [mail["To"] for mail in self.sink.mails]
        self.assertFalse([to for to in told if "customer@gone" in to])

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

    # ------------------------------------------------------------------------
    # NO LOOPS
    # ------------------------------------------------------------------------

    def get_written_to(self):
        """Return the addresses of all mails since, also of waiting ones."""
        mails = self.env["mail.mail"].sudo().search([("id", ">", self.last_mail)])
        waiting = mails.recipient_ids.mapped("email_normalized")
        waiting += email_normalize_all(
            ", ".join(filter(None, mails.mapped("email_to")))
        )
        sent = [email for mail in self.sink.mails for email in mail.recipients]
        return {*waiting, *sent}

    def forget_mails(self):
        self.sink.clear()
        self.last_mail = self.env["mail.mail"].sudo().search([], limit=1).id or 0

    def test_a_robot_that_does_not_say_so_gets_no_answer(self):
        """From another address than the one we wrote to, which follows the invoice."""
        robot = "robot@customer.example.com"
        (reminder,) = self.remind("box@customer.example.com")
        invoice = reminder.move_id
        invoice.message_subscribe(
            (reminder.partner_id + self.accountant.partner_id).ids
        )
        (mail,) = self.sink.mails
        self.assertEqual(mail["Auto-Submitted"], "auto-generated")
        self.assertEqual(mail["X-Auto-Response-Suppress"], "OOF, AutoReply")
        self.forget_mails()
        for number in range(5):
            new = {CUSTOMER: robot, "gmail-0001": f"robot-{number}"}
            self.receive("reply_gmail", reminder, **new)
        self.assertEqual(len(invoice.message_ids.filtered(self.is_mail)), 5)
        self.assertEqual(self.get_replies(reminder), 1)
        self.assertEqual(len(invoice.activity_ids), 1)
        self.assertEqual(self.get_written_to(), {self.accountant.email})
        # It delays the next one by a week, not for ever.
        self.run_on("03-09..03-20")
        self.assertReminders(invoice, "03-08 S1", "03-16 S2")

    @staticmethod
    def is_mail(message):
        return message.message_type == "email"

    def test_our_own_address_is_not_the_customer(self):
        """The company's mail box gets copies, and has a robot of its own."""
        (reminder,) = self.remind("box@customer.example.com")
        self.forget_mails()
        self.receive("reply_gmail", reminder, **{CUSTOMER: self.company.email})
        self.assertEqual(self.get_replies(reminder), 0)
        self.assertFalse(reminder.move_id.activity_ids)
        self.assertLessEqual(self.get_written_to(), {reminder.email_to})

    def test_two_servers_remind_each_other(self):
        """Theirs comes to our catchall: what Odoo answers ends at their return path."""
        (reminder,) = self.remind("box@customer.example.com")
        (mail,) = self.sink.mails
        self.forget_mails()
        theirs = mail.source.decode().replace(
            "box@customer.example.com", self.domain.catchall_email
        )
        number = reminder.message_id.strip("<>")
        theirs = theirs.replace(number, f"theirs-{number}")
        before = self.env["dunning.reminder"].search_count([])
        for _time in range(2):
            with mute_logger("odoo.addons.mail.models.mail_thread"):
                self.root["mail.thread"].message_process(None, theirs)
            theirs = theirs.replace("theirs-", "again-")
        self.assertEqual(before, self.env["dunning.reminder"].search_count([]))
        self.assertFalse(reminder.move_id.activity_ids)
        self.assertEqual(self.get_replies(reminder), 0)
        self.assertEqual(self.get_written_to(), {self.domain.bounce_email})

    def test_no_reminder_to_an_address_that_odoo_reads_itself(self):
        """Catchall, bounces, documents by mail: they wait for a person instead."""
        self.env["mail.alias"].create(
            {
                "alias_name": "bills",
                "alias_domain_id": self.domain.id,
                "alias_model_id": self.env["ir.model"]._get_id("account.move"),
            }
        )
        own = [self.domain.catchall_email, self.domain.bounce_email]
        own.append(f"bills@{self.domain.name}")
        self.travel("03-02")
        invoices = self.env["account.move"]
        for email in own:
            customer = self._create_customer(email, email=email.title())
            invoices += self._create_invoice_due("03-01", customer=customer)
        good = self._create_invoice_due("03-01")
        good.dunning_email_cc = f"{own[0]}, boss@x.example.com"
        self.run_on("03-08")
        for invoice in invoices:
            self.assertNext(invoice, "todo", "03-08 S1", reason="no_recipient")
        sent = {tuple(mail.recipients) for mail in self.sink.mails}
        good_ones = (self.customer.email, "boss@x.example.com")
        self.assertEqual(sent, {good_ones, (self.accountant.email,)})
        action = good.action_dunning_compose()
        wizard = self.env[action["res_model"]].browse(action["res_id"])
        wizard.email_to = f"Us <{own[2]}>"
        with self.assertRaisesRegex(UserError, "come back to Odoo"):
            wizard.action_send()
