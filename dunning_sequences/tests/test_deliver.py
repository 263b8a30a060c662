import time
from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

import psycopg2

from odoo import fields
from odoo.tests import tagged
from odoo.tools import mute_logger
from odoo.tools.safe_eval import safe_eval

from odoo.addons.base.models.ir_mail_server import MailDeliveryException

from .common import DunningCommon

#: How a server behaves; what becomes of the reminder; a word of the reason that is
#: shown; numbers in the journal; mails that it has kept.
ANSWERS = [
    ({"answers": {"connect": "421 busy"}}, "queued", "busy", [], 0),
    ({"answers": {"connect": "554 not you"}}, "queued", "not you", [], 0),
    ({"answers": {"connect": "hello there"}}, "queued", "there", [], 0),
    ({"answers": {"EHLO": "451 not now"}}, "queued", "what?", [], 0),
    ({"answers": {"MAIL": "451 not now"}}, "queued", "not now", [], 0),
    ({"answers": {"MAIL": "421 enough"}}, "queued", "enough", [], 0),
    ({"answers": {"MAIL": "550 no sender"}}, "failed", "no sender", [], 0),
    ({"answers": {"RCPT": "421 enough"}}, "queued", "enough", [], 0),
    ({"answers": {"DATA": "451 not now"}}, "queued", "not now", [], 0),
    ({"answers": {"DATA": "554 nothing valid"}}, "failed", "nothing valid", [], 0),
    ({"answer": "421 closing"}, "queued", "closing", [1], 0),
    # What follows an answer changes nothing about it.
    ({"answer": "451 later", "answers": {"RSET": "500 ?"}}, "queued", "later", [1], 0),
    ({"answer": "451 later", "hang_up": "RSET"}, "queued", "later", [1], 0),
    ({"answers": {"QUIT": "500 ?"}}, "sent", "", [1], 1),
    ({"hang_up": "QUIT"}, "sent", "", [1], 1),
    # Another yes is a yes; what nobody understands may have been one.
    ({"yes": "251 will forward"}, "sent", "", [1], 1),
    ({"yes": "okay"}, "doubtful", "answer was lost", [1], 1),
    ({"yes": "354 go on"}, "doubtful", "answer was lost", [1], 1),
    ({"yes": "250 " + 9000 * "a"}, "doubtful", "answer was lost", [1], 1),
    # What it says it can do, and we do not use.
    (
        {"extensions": ("SMTPUTF8", "CHUNKING", "PIPELINING", "DSN", "SIZE 10")},
        "sent",
        "",
        [1],
        1,
    ),
    (
        {"extensions": ("SIZE 10",), "answers": {"MAIL": "552 too big"}},
        "failed",
        "too big",
        [],
        0,
    ),
]

BOUNCE = """\
Return-Path: <>
From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
To: {bounce}
Subject: Undelivered Mail Returned to Sender
Message-Id: <bounce-{number}@mx.example.com>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=us-ascii

<{address}>: user unknown

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {address}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 user unknown

--b
Content-Type: message/rfc822

{original}
--b--
"""


class DeliverCommon(DunningCommon):
    def _compose_one(self, *steps, **vals):
        """Return an invoice and its reminder, which is about to leave."""
        self._create_default(*(steps or [(7,), (14,)]), **vals)
        invoice = self._create_invoice_due("03-01")
        reminder = self.compose_day("03-08")
        self.assertEqual(reminder.state, "queued")
        return invoice, reminder

    def deliver_after(self, **delta):
        self.deliver(self.now() + timedelta(**delta))

    def get_attempts(self, reminder):
        """Return the numbers of its hand-overs in the journal."""
        attempts = self.env["dunning.attempt"].sudo()
        found = attempts.search([("message_id", "=", reminder.message_id)], order="id")
        return found.mapped("attempt")


@tagged("post_install", "-at_install")
class TestDeliver(DeliverCommon):
    """Reminders leave once, whatever the mail server does."""

    def test_sent_is_written_down(self):
        invoice, reminder = self._compose_one()
        self.deliver()
        self.assertEqual(reminder.state, "sent")
        self.assertEqual(reminder.sent_on, self.today())
        self.assertEqual(self.get_attempts(reminder), [1])
        (mail,) = self.sink.mails
        self.assertEqual(mail["Message-Id"], reminder.message_id)
        self.assertEqual(mail["Auto-Submitted"], "auto-generated")
        self.assertEqual(mail["X-Odoo-Objects"], f"account.move-{invoice.id}")
        self.assertFalse(
            self.env["mail.mail"].sudo().search([("model", "=", "account.move")])
        )

    def test_sent_is_not_sent_again(self):
        _invoice, _reminder = self._compose_one()
        for minutes in (0, 5, 60 * 24):
            self.deliver_after(minutes=minutes)
        self.assertEqual(len(self.sink.mails), 1)

    def test_odoos_own_queue_sends_none_of_ours(self):
        self._compose_one()
        with self.server_down():
            self.deliver()
        self.env["mail.mail"].sudo().process_email_queue()
        self.assertFalse(self.sink.mails)
        self.deliver_after(minutes=2)
        self.env["mail.mail"].sudo().process_email_queue()
        self.assertEqual(len(self.sink.mails), 1)

    def test_the_journal_is_written_before_the_mail_is_taken(self):
        _invoice, reminder = self._compose_one()
        taken = []
        attempts = type(self.env["dunning.attempt"])
        write_ahead = attempts._write_ahead

        def spy(self_, *args):
            time.sleep(0.2)  # would the server have got the dot, it would have the mail
            taken.append(len(self.sink.mails))
            return write_ahead(self_, *args)

        with patch.object(attempts, "_write_ahead", spy):
            self.deliver()
        self.assertEqual(taken, [0])
        self.assertEqual(reminder.state, "sent")

    # ------------------------------------------------------------------------
    # THE SERVER IS DOWN
    # ------------------------------------------------------------------------

    def test_server_down_waits_longer_each_time_and_never_gives_up(self):
        _invoice, reminder = self._compose_one()
        now = self.now()
        with self.server_down():
            for minutes in (1, 5, 15, 60, 240, 240):
                self.deliver(now)
                self.assertEqual(reminder.state, "queued")
                self.assertEqual(reminder.next_try, now + timedelta(minutes=minutes))
                self.assertTrue(reminder.failure_reason)
                now = reminder.next_try
        self.assertFalse(self.get_attempts(reminder), "nothing was handed over")
        self.deliver(now)
        self.assertEqual(reminder.state, "sent")
        self.assertFalse(reminder.failure_reason)
        self.assertEqual(len(self.sink.mails), 1)

    def test_not_before_its_time(self):
        _invoice, reminder = self._compose_one()
        with self.server_down():
            self.deliver()
        self.deliver_after(seconds=59)
        self.assertEqual(self.sink.connections, 0)
        self.deliver_after(seconds=60)
        self.assertEqual(reminder.state, "sent")

    def test_the_message_id_stays_the_same(self):
        _invoice, reminder = self._compose_one()
        message_id = reminder.message_id
        with self.sink.behaving(answer="451 4.3.0 try later"):
            self.deliver()
        self.deliver_after(minutes=5)
        self.assertEqual(reminder.message_id, message_id)
        self.assertEqual([mail["Message-Id"] for mail in self.sink.mails], [message_id])

    def test_server_down_holds_up_the_last_step_too(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.travel("03-08")
        with self.server_down():
            self.compose_day()
            self.deliver()
        self.drain()
        self.assertEqual(invoice.dunning_enrollment_ids.state, "held")
        self.assertEqual(invoice.dunning_enrollment_ids.hold_reason, "delayed")
        self.deliver(self.now().replace(hour=12))
        self.assertEqual(invoice.dunning_enrollment_ids.state, "done")

    def test_what_was_kept_from_leaving_is_what_comes_at_once(self):
        """Whoever decides by hand does not decide about what was true a minute ago."""
        self._create_default((7,), (14,))
        called, left_out, reminded = (
            self._create_invoice_due("03-01", customer=self._create_customer(name))
            for name in ("A", "B", "C")
        )
        self.compose_day("03-08").action_cancel()
        for invoice, decide in (
            (called, "action_record"),
            (left_out, "action_skip"),
            (reminded, "action_remind"),
        ):
            enrollment = invoice.dunning_enrollment_ids
            self.assertEqual(enrollment.next_step_id.name, "S2")  # nobody looked yet
            getattr(enrollment, decide)()
            self.deliver()
            self.assertReminders(invoice, "03-08 S1")
            self.assertNext(invoice, "running", "03-15 S2")

    def test_an_archived_server_holds_up_the_last_step_visibly(self):
        server = self.mail_server.copy({"name": "Gone"})
        sequence = self._create_default((7,), mail_server_id=server.id)
        invoices = sum(
            (
                self._create_invoice_due("03-01", customer=self._create_customer(name))
                for name in ("A", "B")
            ),
            self.env["account.move"],
        )
        server.active = False
        self.travel("03-08")
        self.compose_day()
        self.deliver()
        self.drain()
        for invoice in invoices:
            self.assertIn("mail server does not take", invoice.dunning_explanation)
        action = self.env.ref("dunning_sequences.dunning_enrollment_action_todo")
        listed = self.Enrollment.search(safe_eval(action.domain))
        self.assertEqual(listed.move_id & invoices, invoices)
        self.assertEqual(listed.sequence_id, sequence)
        server.active = True
        self.deliver(self.now().replace(hour=12))
        self.assertEqual(set(invoices.dunning_enrollment_ids.mapped("state")), {"done"})

    def test_while_a_server_is_down_another_one_works(self):
        self._create_default((7,), (14,))
        backup = self.mail_server.copy({"name": "Backup", "sequence": 99})
        own = self._create_sequence([(7,)], prefix="B", mail_server_id=backup.id)
        customers = [self._create_customer(name) for name in ("A", "B", "C")]
        for customer in customers:
            self._create_invoice_due("03-01", customer=customer)
        special = self._create_customer("D", dunning_sequence_id=own.id)
        self._create_invoice_due("03-01", customer=special)
        with self.server_down():
            reminders = self.run_day("03-08")
        self.assertEqual(self.get_subjects(), ["B1"])
        waiting = reminders.filtered(lambda reminder: reminder.state == "queued")
        self.assertEqual(len(waiting), 3)
        self.assertEqual(len(set(waiting.mapped("failure_reason"))), 1)
        self.assertIn("refused", waiting[-1].failure_reason)
        self.drain()
        self.assertNext(waiting[-1].move_id, "held", "03-15 S2", reason="delayed")
        self.deliver_after(minutes=2)
        self.assertEqual(self.get_subjects(), ["B1", "S1", "S1", "S1"])

    def test_a_server_that_is_down_stops_its_own_senders_only(self):
        """Without a server of its own, Odoo finds one for the sender of a sequence."""
        sender = "billing@second.example.com"
        self.mail_server.copy({"from_filter": "second.example.com", "sequence": 1})
        self._create_default((7,), (14,))
        other = self._create_sequence([(7,)], prefix="B", email_from=sender)
        special = self._create_customer("D", dunning_sequence_id=other.id)
        for customer in (self.customer, self._create_customer("E"), special):
            self._create_invoice_due("03-01", customer=customer)
        with self.server_down():
            self.run_day("03-08")
        self.assertEqual(self.get_subjects(), ["B1"])
        self.deliver_after(minutes=2)
        self.assertEqual(self.get_subjects(), ["B1", "S1", "S1"])

    def test_one_connection_for_all_mails_of_a_run(self):
        self._create_default((7,))
        for number in range(5):
            customer = self._create_customer(f"C{number}")
            self._create_invoice_due("03-01", customer=customer)
        self.run_on("03-08")
        self.assertEqual(len(self.sink.mails), 5)
        self.assertEqual(self.sink.connections, 1)

    # ------------------------------------------------------------------------
    # THE SERVER REFUSES
    # ------------------------------------------------------------------------

    def test_a_refused_copy_is_shown_and_the_others_get_it(self):
        invoice, reminder = self._compose_one()
        invoice.dunning_email_cc = "gone@customer.example.com"
        self.sink.refused = {"gone@customer.example.com": "550 5.1.1 no such user"}
        self.deliver()
        self.assertEqual(reminder.state, "sent")
        self.assertIn("gone@customer.example.com: 550", reminder.refused)
        self.assertEqual(self.sink.mails[0].recipients, ["azure@customer.example.com"])
        self.assertReminders(invoice, "03-08 S1")

    def test_the_only_copy_taken_is_not_a_reminder(self):
        """The customer got nothing: his address was refused, the copy was taken."""
        invoice, reminder = self._compose_one()
        invoice.dunning_email_cc = "boss@test.example.com"
        self.sink.refused = {"azure@customer.example.com": "550 5.1.1 no such user"}
        self.deliver()
        self.assertIn("azure@customer.example.com: 550", reminder.refused)
        self.assertIn(reminder.state, ("bounced", "failed"))
        self.assertReminders(invoice)

    def test_refused_for_good_fails(self):
        invoice, reminder = self._compose_one()
        self.sink.refused = {"azure@customer.example.com": "550 5.1.1 no such user"}
        self.deliver()
        self.assertEqual(reminder.state, "failed")
        self.assertIn("550 5.1.1 no such user", reminder.failure_reason)
        self.assertEqual(
            reminder.mail_message_id.notification_ids.notification_status, "exception"
        )
        self.assertNext(invoice, "todo", "03-08 S1", reason="failed")
        self.deliver_after(hours=5)
        self.assertEqual(reminder.state, "failed")
        self.assertFalse(self.sink.mails)

    def test_refused_for_now_is_tried_again(self):
        _invoice, reminder = self._compose_one()
        address = "azure@customer.example.com"
        with self.sink.behaving(refused={address: "451 4.2.0 greylisted"}):
            self.deliver()
        self.assertEqual(reminder.state, "queued")
        self.assertIn("greylisted", reminder.failure_reason)
        self.deliver_after(minutes=1)
        self.assertEqual(reminder.state, "sent")

    def test_one_refused_for_good_one_for_now_is_tried_again(self):
        invoice, reminder = self._compose_one()
        invoice.dunning_email_cc = "boss@customer.example.com"
        refused = {
            "azure@customer.example.com": "451 4.2.0 greylisted",
            "boss@customer.example.com": "550 5.1.1 no such user",
        }
        with self.sink.behaving(refused=refused):
            self.deliver()
        self.assertEqual(reminder.state, "queued")
        self.deliver_after(minutes=1)
        self.assertEqual(reminder.state, "sent")

    def test_text_refused_for_good_fails(self):
        _invoice, reminder = self._compose_one()
        with self.sink.behaving(answer="554 5.7.1 looks like spam"):
            self.deliver()
        self.assertEqual(reminder.state, "failed")
        self.assertIn("looks like spam", reminder.failure_reason)

    def test_text_refused_for_now_gets_another_number_in_the_journal(self):
        _invoice, reminder = self._compose_one()
        with self.sink.behaving(answer="451 4.3.0 try later"):
            self.deliver()
        self.assertEqual(reminder.state, "queued")
        self.assertEqual(self.get_attempts(reminder), [1])
        self.deliver_after(minutes=1)
        self.assertEqual(reminder.state, "sent")
        self.assertEqual(self.get_attempts(reminder), [1, 2])

    def test_a_refused_mail_does_not_stop_the_others(self):
        self._create_default((7,))
        invoices = self.env["account.move"]
        for name in ("A", "B", "C"):
            customer = self._create_customer(name)
            invoices += self._create_invoice_due("03-01", customer=customer)
        self.sink.refused = {"a@customer.example.com": "550 5.1.1 no such user"}
        self.run_on("03-08")
        self.assertEqual(len(self.sink.mails), 2)
        self.assertEqual(
            [self.get_last_reminder(invoice).state for invoice in invoices],
            ["failed", "sent", "sent"],
        )

    def test_a_reminder_that_cannot_be_built_does_not_stop_the_others(self):
        self._create_default((7,))
        invoices = self.env["account.move"]
        for name in ("A", "B", "C"):
            customer = self._create_customer(name)
            invoices += self._create_invoice_due("03-01", customer=customer)
        build = type(self.Reminder)._build_message

        def broken(reminder):
            if reminder.partner_id.name == "A":
                raise ValueError("an attachment is lost")
            return build(reminder)

        with patch.object(type(self.Reminder), "_build_message", broken):
            self.run_on("03-08")
        self.assertEqual(
            [self.get_last_reminder(invoice).state for invoice in invoices],
            ["failed", "sent", "sent"],
        )
        failed = self.get_last_reminder(invoices[0])
        self.assertEqual(failed.failure_reason, "an attachment is lost")

    def test_each_answer_at_each_moment(self):
        """What is refused for now arrives later, and nothing arrives twice."""
        self._create_default((7,))
        for number in range(len(ANSWERS)):
            customer = self._create_customer(f"C{number}")
            self._create_invoice_due("03-01", customer=customer)
        reminders = self.compose_day("03-08").sudo()
        reminders.next_try = self.now() + timedelta(days=1)
        for reminder, answer in zip(reminders, ANSWERS, strict=True):
            how, state, reason, journal, kept = answer
            with self.subTest(**how):
                self.sink.clear()
                reminder.next_try = False
                with self.sink.behaving(**how):
                    self.deliver()
                self.assertEqual(reminder.state, state)
                self.assertIn(reason, reminder.failure_reason or "")
                self.assertEqual(self.get_attempts(reminder), journal)
                self.assertEqual(len(self.sink.mails), kept)
                self.assertEqual(bool(reminder.next_try), state == "queued")
                self.deliver(reminder.next_try or self.now() + timedelta(hours=5))
                arrives = kept or state == "queued"
                self.assertEqual(len(self.sink.mails), arrives)
                self.assertNotEqual(reminder.state, "queued")

    def test_a_server_that_hangs_up_after_each_mail_is_not_down(self):
        self._create_default((7,))
        for name in ("A", "B", "C", "D"):
            self._create_invoice_due("03-01", customer=self._create_customer(name))
        with self.sink.behaving(hang_up="taken"):
            self.run_on("03-08")
            self.assertEqual(len(self.sink.mails), 2)
            self.deliver_after(minutes=1)
            self.deliver_after(minutes=6)
        self.assertEqual(len({mail["Message-Id"] for mail in self.sink.mails}), 4)
        self.assertEqual(len(self.sink.mails), 4)

    def test_refused_ones_leave_no_connection_open(self):
        self._create_default((7,))
        for name in ("A", "B", "C"):
            self._create_invoice_due("03-01", customer=self._create_customer(name))
        with self.sink.behaving(answers={"RCPT": "550 no such user"}):
            self.run_on("03-08")
        self.assertEqual(self.sink.connections, 3)
        self.assertEqual(self.sink.most_open, 1)

    def test_the_journal_cannot_be_written(self):
        """The text was said, the dot is not: it is nobody's fault, and it waits."""
        _invoice, reminder = self._compose_one()
        error = psycopg2.OperationalError("the database is being restarted")
        with patch.object(
            type(self.env["dunning.attempt"]), "_write_ahead", side_effect=error
        ):
            self.deliver()
        self.assertEqual(reminder.state, "queued")
        self.assertIn("restarted", reminder.failure_reason)
        self.assertFalse(self.sink.mails)
        self.deliver_after(minutes=1)
        self.assertEqual(reminder.state, "sent")
        self.assertEqual(len(self.sink.mails), 1)

    def test_a_server_that_cannot_be_asked_does_not_stop_the_others(self):
        self._create_default((7,))
        strange = self.mail_server.copy({"name": "Strange", "smtp_host": "a" * 99})
        own = self._create_sequence([(7,)], prefix="B", mail_server_id=strange.id)
        special = self._create_customer("A", dunning_sequence_id=own.id)
        waiting = self._create_invoice_due("03-01", customer=special)
        self._create_invoice_due("03-01", customer=self._create_customer("B"))
        self.run_on("03-08")
        self.assertEqual(self.get_subjects(), ["S1"])
        reminder = self.get_last_reminder(waiting)
        self.assertEqual(reminder.state, "queued")
        self.assertTrue(reminder.failure_reason)

    def test_senders_that_are_no_mail_server_are_journalled_before(self):
        """They have no dot: when it is not known what they did, it is doubtful."""
        outcomes = [
            (None, "sent"),
            (ConnectionError("cut"), "doubtful"),
            (ValueError("no JSON"), "doubtful"),
            (MailDeliveryException("over your quota"), "failed"),
        ]
        self._create_default((7,))
        for number in range(len(outcomes)):
            customer = self._create_customer(f"C{number}")
            self._create_invoice_due("03-01", customer=customer)
        reminders = self.compose_day("03-08").sudo()
        reminders.next_try = self.now() + timedelta(days=1)
        asked = []

        def send_message(*_args):
            asked.append(self.get_attempts(reminder))
            if error:
                raise error

        api = SimpleNamespace(
            send_message=send_message, quit=bool, from_filter=False, smtp_from=False
        )
        servers = type(self.env["ir.mail_server"])
        for reminder, (error, state) in zip(reminders, outcomes, strict=True):
            reminder.next_try = False
            with (
                self.subTest(state=state, error=error),
                patch.object(servers, "_connect__", lambda *_args, **_how: api),
            ):
                self.deliver()
                self.assertEqual(reminder.state, state)
                self.deliver_after(hours=5)
                self.assertEqual(asked, [[1]], "journalled, then asked, once")
            asked.clear()

    # ------------------------------------------------------------------------
    # THE CONNECTION BREAKS
    # ------------------------------------------------------------------------

    def test_connection_lost_before_the_text_is_tried_again(self):
        for command in ("connect", "MAIL", "RCPT", "DATA"):
            with self.subTest(command):
                customer = self._create_customer(command)
                sequence = self._create_sequence([(7,)])
                customer.dunning_sequence_id = sequence
                self.travel("02-01")
                invoice = self._create_invoice_due("03-01", customer=customer)
                self.sink.clear()
                with self.sink.behaving(hang_up=command):
                    self.run_on("03-08")
                reminder = self.get_last_reminder(invoice)
                self.assertEqual(reminder.state, "queued")
                self.assertFalse(self.get_attempts(reminder))
                self.deliver_after(minutes=1)
                self.assertEqual(reminder.state, "sent")
                self.assertEqual(len(self.sink.mails), 1)

    def test_connection_lost_in_the_middle_of_the_text_is_tried_again(self):
        """A big one, so that the server's hanging up shows while it is sent."""
        self._create_default((7,), attach_invoice=True)
        invoice = self._create_invoice_due("03-01")
        invoice.invoice_pdf_report_file = b"A" * 8_000_000
        reminder = self.compose_day("03-08")
        with self.sink.behaving(hang_up="text"):
            self.deliver()
        self.assertEqual(reminder.state, "queued")
        self.assertFalse(self.get_attempts(reminder))
        self.deliver_after(minutes=1)
        self.assertEqual(reminder.state, "sent")
        self.assertEqual(len(self.sink.mails), 1)

    def test_answer_lost_is_doubtful_and_never_sent_again(self):
        invoice, reminder = self._compose_one()
        with self.sink.behaving(hang_up="dot"):
            self.deliver()
        self.assertEqual(reminder.state, "doubtful")
        self.assertIn("answer was lost", reminder.failure_reason)
        self.assertReminders(invoice, "03-08 S1")
        for hours in (1, 24):
            self.deliver_after(hours=hours)
        self.run_on("03-09..03-10")
        self.assertEqual(len(self.sink.mails), 1)
        self.assertNext(invoice, "running", "03-15 S2")
        self.run_on("03-15")
        self.assertReminders(invoice, "03-08 S1", "03-15 S2")

    def test_a_broken_connection_is_opened_anew_for_the_next_run(self):
        self._create_default((7,))
        for name in ("A", "B"):
            self._create_invoice_due("03-01", customer=self._create_customer(name))
        with self.sink.behaving(hang_up="DATA"):
            self.run_on("03-08")
        self.deliver_after(minutes=5)
        self.assertEqual(len(self.sink.mails), 2)

    # ------------------------------------------------------------------------
    # THE WORKER DIED
    # ------------------------------------------------------------------------

    def _die_after_the_dot(self, reminder, minutes=20):
        """What a worker leaves that is killed before it hears the answer."""
        started = fields.Datetime.to_string(self.now() - timedelta(minutes=minutes))
        self.env.cr.execute(
            "INSERT INTO dunning_attempt (message_id, attempt, started_at)"
            " VALUES (%s, %s, %s)",
            [reminder.message_id, reminder.attempt + 1, started],
        )

    def test_a_hand_over_in_the_journal_is_not_sent_again(self):
        _invoice, reminder = self._compose_one()
        self._die_after_the_dot(reminder)
        self.deliver()
        self.assertFalse(self.sink.mails)
        self.assertEqual(reminder.state, "queued")

    def test_a_hand_over_in_the_journal_does_not_stop_the_others(self):
        self._create_default((7,))
        invoices = self.env["account.move"]
        for name in ("A", "B", "C"):
            customer = self._create_customer(name)
            invoices += self._create_invoice_due("03-01", customer=customer)
        reminders = self.compose_day("03-08")
        self._die_after_the_dot(reminders.sorted("id")[0], minutes=1)
        self.deliver()
        self.assertEqual(len(self.sink.mails), 2)

    def test_recover_lists_it_as_doubtful(self):
        invoice, reminder = self._compose_one()
        self._die_after_the_dot(reminder)
        self.root["dunning.reminder"]._recover(self.now())
        self.env.invalidate_all()
        self.assertEqual(reminder.state, "doubtful")
        self.assertEqual(reminder.attempt, 1)
        self.assertReminders(invoice, "03-08 S1")
        self.run_on("03-08", "03-15")
        self.assertEqual(self.get_subjects(), ["S2"])

    def test_recover_leaves_a_hand_over_of_this_minute_alone(self):
        _invoice, reminder = self._compose_one()
        self._die_after_the_dot(reminder, minutes=5)
        self.root["dunning.reminder"]._recover(self.now())
        self.assertEqual(reminder.state, "queued")

    def test_recover_touches_nothing_that_was_answered(self):
        _invoice, reminder = self._compose_one()
        self.deliver()
        self.root["dunning.reminder"]._recover(self.now() + timedelta(days=400))
        self.env.invalidate_all()
        self.assertEqual(reminder.state, "sent")

    def test_doubtful_can_bounce(self):
        invoice, reminder = self._compose_one()
        with self.sink.behaving(hang_up="dot"):
            self.deliver()
        reminder.with_env(self.root)._register_bounce(
            {"azure@customer.example.com": ""}
        )
        self.env.invalidate_all()
        self.assertEqual(reminder.state, "bounced")
        self.assertReminders(invoice)


@tagged("post_install", "-at_install")
class TestBounce(DeliverCommon):
    """A reminder that came back does not count."""

    def bounce(self, mail, address="azure@customer.example.com"):
        """Let Odoo's mail gateway receive that a mail came back."""
        domain = self.env["mail.alias.domain"].search([], limit=1)
        if not domain:
            domain = self.env["mail.alias.domain"].create({"name": "test.example.com"})
        text = BOUNCE.format(
            bounce=domain.bounce_email,
            number=len(self.sink.mails),
            address=address,
            original=mail.source.decode(),
        )
        with mute_logger("odoo.addons.mail.models.mail_thread"):
            self.root["mail.thread"].message_process(None, text)
        self.env.invalidate_all()

    def test_a_bounce_is_shown_does_not_count_and_waits_for_a_person(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.bounce(self.sink.mails[0])
        self.assertEqual(reminder.state, "bounced")
        self.assertIn("azure@customer.example.com", reminder.failure_reason)
        self.run_on("03-09", "03-15")
        self.assertReminders(invoice)
        self.assertNext(invoice, "todo", "03-08 S1", reason="failed")
        self.assertEqual(invoice.dunning_status, "failed")

    def test_a_bounced_one_is_retried_to_the_new_address(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        bounced = self.run_day("03-08")
        self.bounce(self.sink.mails[0])
        self.travel("03-10")
        self.customer.email = "new@customer.example.com"
        bounced.action_retry()
        self.deliver()
        retry = self.get_last_reminder(invoice)
        self.assertEqual(retry.retry_of_id, bounced)
        self.assertEqual(self.sink.mails[-1].recipients, ["new@customer.example.com"])
        self.assertReminders(invoice, "03-10 S1")
        self.assertNext(invoice, "running", "03-17 S2")

    def test_a_late_bounce_of_an_earlier_step_does_not_stop_the_later_ones(self):
        self._create_default((7,), (14,), (30,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08", "03-15")
        self.bounce(self.sink.mails[0])
        self.run_on("03-31")
        self.assertReminders(invoice, "03-15 S2", "03-31 S3")

    def test_retry_of_a_late_bounce_does_not_set_the_sequence_back(self):
        self._create_default((7,), (14,), (30,))
        invoice = self._create_invoice_due("03-01")
        bounced = self.run_day("03-08")
        self.run_on("03-15")
        self.bounce(self.sink.mails[0])
        self.travel("03-16")
        bounced.action_retry()
        self.deliver()
        self.run_on("03-16..03-18", "03-23", "03-31", "04-01")
        told = self.get_reminders(invoice)
        self.assertEqual([entry[-2:] for entry in told], ["S2", "S1", "S3"])
        self.assertNext(invoice, "done")

    def test_a_bounce_of_a_copy_does_not_undo_the_reminder(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        invoice.dunning_email_cc = "boss@customer.example.com"
        reminder = self.run_day("03-08")
        self.bounce(self.sink.mails[0], "boss@customer.example.com")
        self.assertEqual(reminder.state, "sent")
        self.assertIn("boss@customer.example.com", reminder.refused)
        self.assertReminders(invoice, "03-08 S1")

    def test_a_bounce_of_somebody_elses_mail_changes_nothing(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        mail = self.sink.mails[0]
        mail.source = mail.source.replace(
            mail["Message-Id"].encode(), b"<another-one@test.example.com>"
        )
        self.bounce(mail)
        self.assertReminders(invoice, "03-08 S1")


@tagged("post_install", "-at_install")
class TestHours(DunningCommon):
    """When the crons work: in each company's hours, on each company's day."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.crons = [
            cls.env.ref(f"dunning_sequences.ir_cron_dunning_{name}").sudo()
            for name in ("reconcile", "run", "send", "send_2", "recover")
        ]

    def run_crons(self, day, hour):
        """All crons, as the scheduler starts them, at an hour (UTC) of a day."""
        self.travel(day, hour)
        self.commit()
        for cron in self.crons:
            cron.method_direct_trigger()
        self.env.invalidate_all()

    def test_nothing_leaves_before_eight_or_after_six(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        for hour in (0, 7.9, 18, 23):
            self.run_crons("03-08", hour)
            self.assertReminders(invoice)
        self.run_crons("03-09", 8)
        self.assertReminders(invoice, "03-09 S1")
        self.assertEqual(len(self.sink.mails), 1)

    def test_once_a_day_however_often_the_crons_run(self):
        self._create_default((7,), (8,))
        invoice = self._create_invoice_due("03-01")
        for hour in range(8, 18, 3):
            self.run_crons("03-08", hour)
        self.assertReminders(invoice, "03-08 S1")
        self.assertEqual(len(self.sink.mails), 1)

    def test_what_the_server_refused_in_the_evening_waits_for_the_morning(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        with self.server_down():
            self.run_crons("03-08", 17.9)
        self.run_crons("03-08", 20)
        self.assertFalse(self.sink.mails)
        self.run_crons("03-09", 8)
        self.assertReminders(invoice, "03-09 S1")

    def test_the_companys_own_hours(self):
        self._create_default((7,))
        self.company.write({"dunning_hour_from": 13.5, "dunning_hour_to": 14})
        invoice = self._create_invoice_due("03-01")
        for hour in (10, 13.4, 14):
            self.run_crons("03-08", hour)
            self.assertReminders(invoice)
        self.run_crons("03-08", 13.5)
        self.assertReminders(invoice, "03-08 S1")

    def test_each_company_has_its_own_day(self):
        """It is the 8th in Auckland, and still the 7th in Los Angeles."""
        data = self.setup_other_company(name="Auckland", email="nz@test.example.com")
        auckland = data["company"]
        auckland.dunning_tz = "Pacific/Auckland"
        self.company.dunning_tz = "America/Los_Angeles"
        self._create_default((7,))
        self._create_sequence([(7,)], default=True, company_id=auckland.id)
        here = self._create_invoice_due("03-01")
        there = self._create_invoice_due("03-01", company_id=auckland)
        self.run_crons("03-07", 20)  # the 8th, 9:00 there; the 7th, 12:00 here
        self.assertReminders(there, "03-08 S1")
        self.assertReminders(here)
        self.run_crons("03-08", 10)  # 23:00 there; 2:00 here
        self.assertReminders(here)
        self.run_crons("03-08", 17)  # the 9th, 6:00 there; the 8th, 10:00 here
        self.assertReminders(here, "03-08 S1")
        self.assertReminders(there, "03-08 S1")
        self.assertEqual(
            [mail["From"].addresses[0].addr_spec for mail in self.sink.mails],
            ["nz@test.example.com", "company@test.example.com"],
        )

    def test_a_pause_begins_on_the_day_of_the_invoices_company(self):
        """Whatever day it is where the user's company is."""
        data = self.setup_other_company(name="Auckland", email="nz@test.example.com")
        data["company"].dunning_tz = "Pacific/Auckland"
        self.company.dunning_tz = "America/Los_Angeles"
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.travel("03-08", 20)  # the 9th there, the 8th here
        chosen = (data["company"] + self.company).ids  # in the company switcher
        invoice.with_context(allowed_company_ids=chosen).dunning_paused = True
        self.run_crons("03-08", 21)
        self.assertFalse(self.sink.mails)
        self.assertNext(invoice, "held", "03-08 S1", reason="pause")

    def test_following_changes_goes_on_at_night(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.run_crons("03-05", 2)
        self.assertNext(invoice, "running", "03-08 S1")
        self.pay(invoice)
        self.run_crons("03-05", 3)
        self.assertNext(invoice, "stopped", reason="paid")

    def test_hours_of_one_day_only(self):
        with self.assertRaisesRegex(Exception, "between two hours of one day"):
            self.company.write({"dunning_hour_from": 18, "dunning_hour_to": 8})
