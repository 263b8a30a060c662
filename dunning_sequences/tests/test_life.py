from datetime import datetime, time
from unittest.mock import patch

import psycopg2

from odoo import Command
from odoo.tests import tagged
from odoo.tools import SQL, mute_logger

from .common import DunningCommon, to_date, to_text


@tagged("post_install", "-at_install")
class TestLife(DunningCommon):
    """The lives of an invoice, act by act. Due on 1 March, unless it says so."""

    # ------------------------------------------------------------------------
    # FROM POSTING TO PAYMENT
    # ------------------------------------------------------------------------

    def test_notice_then_three_reminders_then_done(self):
        self._create_default((-3,), (7,), (15,), (30,))
        invoice = self._create_invoice_due("03-01")
        self.drain()
        self.assertNext(invoice, "running", "02-26 S1")
        self.assertEqual(invoice.dunning_status, "active")
        self.run_on("02-24..03-09", "03-15..03-17", "03-30..04-01")
        self.assertReminders(invoice, "02-26 S1", "03-08 S2", "03-16 S3", "03-31 S4")
        self.assertEqual(self.get_subjects(), ["S1", "S2", "S3", "S4"])
        self.assertNext(invoice, "done")
        self.assertEqual(invoice.dunning_status, "done")

    def test_drafts_bills_and_credit_notes_are_never_followed(self):
        self._create_default((7,))
        draft = self._create_invoice_due("03-01", post=False)
        bill = self._create_invoice_due("03-01", move_type="in_invoice")
        refund = self._create_invoice_due("03-01", move_type="out_refund")
        cancelled = self._create_invoice_due("03-01", post=False)
        cancelled.button_cancel()
        self.run_on("03-08..03-10")
        moves = draft + bill + refund + cancelled
        self.assertFalse(self.Enrollment.search([("move_id", "in", moves.ids)]))
        self.assertFalse(self.sink.mails)
        self.assertEqual(moves.mapped("dunning_status"), ["none"] * 4)

    def test_sales_receipts_are_followed(self):
        self._create_default((7,))
        receipt = self._create_invoice_due("03-01", move_type="out_receipt")
        self.run_on("03-08")
        self.assertReminders(receipt, "03-08 S1")

    def test_paid_before_the_second_step_stops(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.travel("03-10")
        self.pay(invoice)
        self.run_on("03-15..03-16")
        self.assertReminders(invoice, "03-08 S1")
        self.assertNext(invoice, "stopped", reason="paid")
        self.assertEqual(invoice.dunning_status, "none")

    def test_part_payment_goes_on_with_what_remains(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01", amount=100)
        self.run_on("03-08")
        self.travel("03-10")
        self.pay(invoice, 40)
        self.run_on("03-15")
        self.assertReminders(invoice, "03-08 S1", "03-15 S2")
        first, second = self.sink.mails
        self.assertIn("S1: $ 100.00 since 03/01/2026, 7 days", self.get_text(first))
        self.assertIn("S2: $ 60.00 since 03/01/2026, 14 days", self.get_text(second))
        self.assertEqual(self.get_amounts(invoice), [100, 60])

    def test_each_instalment_is_followed_by_itself(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_in_instalments(
            ("02-01", 30), ("03-01", 30), ("04-01", 40)
        )
        self.run_on("02-08", "02-15", "03-08", "03-15", "04-08", "04-15")
        self.assertReminders(
            invoice,
            *("02-08 S1", "02-15 S2", "03-08 S1", "03-15 S2", "04-08 S1", "04-15 S2"),
        )
        self.assertEqual(self.get_amounts(invoice), [30, 30, 30, 30, 40, 40])

    def test_a_paid_instalment_stops_and_the_others_go_on(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_in_instalments(("02-01", 30), ("03-01", 70))
        self.run_on("02-08")
        self.pay(invoice, 30)
        self.run_on("02-15", "03-08")
        self.assertReminders(invoice, "02-08 S1", "03-08 S1")
        self.assertEqual(self.get_amounts(invoice), [30, 70])

    def test_two_instalments_of_one_date_are_one(self):
        self._create_default((7,))
        invoice = self._create_invoice_in_instalments(("03-01", 30), ("03-01", 70))
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")
        self.assertEqual(invoice.dunning_reminder_line_ids.amount, 100)

    def test_reversed_invoice_stops(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        invoice._reverse_moves(
            [{"date": to_date("03-10"), "invoice_date": to_date("03-10")}], cancel=True
        )
        self.assertEqual(invoice.payment_state, "reversed")
        self.run_on("03-15")
        self.assertReminders(invoice, "03-08 S1")
        self.assertNext(invoice, "stopped", reason="reversed")

    def test_credited_in_part_goes_on_with_what_remains(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01", amount=100)
        refund = self._create_invoice_due("03-01", 30, move_type="out_refund")
        lines = (invoice + refund).line_ids
        lines.filtered(lambda r: r.display_type == "payment_term").reconcile()
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")
        self.assertIn("$ 70.00", self.get_text(self.sink.mails[0]))

    def test_cancelled_invoice_stops(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        invoice.button_draft()
        invoice.button_cancel()
        self.run_on("03-15")
        self.assertReminders(invoice, "03-08 S1")
        self.assertNext(invoice, "stopped", reason="cancelled")

    def test_draft_and_posted_again_says_nothing_twice(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        invoice.button_draft()
        self.run_on("03-09")
        self.assertNext(invoice, "stopped", reason="cancelled")
        invoice.action_post()
        self.run_on("03-10", "03-14..03-15")
        self.assertReminders(invoice, "03-08 S1", "03-15 S2")

    def test_in_draft_on_the_day_of_a_step_it_comes_once_posted_again(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.travel("03-14")
        invoice.button_draft()
        self.run_on("03-15")
        self.travel("03-18")
        invoice.action_post()
        self.run_on("03-18..03-19")
        self.assertReminders(invoice, "03-08 S1", "03-18 S2")

    def test_amount_changed_in_draft_keeps_its_history(self):
        """Odoo writes the instalment's entry anew."""
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01", amount=100)
        self.run_on("03-08")
        invoice.button_draft()
        invoice.invoice_line_ids.price_unit = 250
        invoice.action_post()
        self.run_on("03-15")
        self.assertReminders(invoice, "03-08 S1", "03-15 S2")
        self.assertIn("$ 250.00", self.get_text(self.sink.mails[1]))

    def test_posted_again_late_is_judged_the_same_at_any_time(self):
        """The day of posting is only known at once; what follows must not differ."""
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.drain()
        self.travel("03-20")
        invoice.button_draft()
        invoice.action_post()
        self.drain()
        fields = ["state", "hold_reason", "next_date", "entered_on", "first_step_id"]
        before = self.get_enrollment(invoice).read(fields)
        self.root["dunning.enrollment"]._reconcile(today=self.today())
        self.assertEqual(self.get_enrollment(invoice).read(fields), before)

    def test_cheque_bounced_resumes_and_replays_nothing(self):
        self._create_default((7,), (14,), (30,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.travel("03-10")
        self.pay(invoice)
        self.run_on("03-12", "03-15")
        self.travel("03-20")
        self.unreconcile(invoice)
        self.run_on("03-20..03-21", "04-04..04-06")
        self.assertReminders(invoice, "03-08 S1", "03-20 S2", "04-05 S3")

    # ------------------------------------------------------------------------
    # DUE DATES THAT CHANGE
    # ------------------------------------------------------------------------

    def test_due_date_changed_after_a_reminder_later_steps_move(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.travel("03-10")
        self.change_due_date(invoice, "03-21")
        self.run_on("03-15", "03-28", "04-03")
        self.assertReminders(invoice, "03-08 S1")
        self.assertNext(invoice, "running", "04-04 S2")
        self.run_on("04-04..04-05")
        self.assertReminders(invoice, "03-08 S1", "04-04 S2")

    def test_due_date_changed_before_any_reminder_enters_anew(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.drain()
        self.change_due_date(invoice, "03-11")
        self.run_on("03-08", "03-18", "03-25")
        self.assertReminders(invoice, "03-18 S1", "03-25 S2")

    def test_due_date_brought_forward_keeps_the_spacing(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.change_due_date(invoice, "02-10")
        self.run_on("03-09", "03-14", "03-15")
        self.assertReminders(invoice, "03-08 S1", "03-15 S2")

    def test_due_date_there_and_back_is_as_before(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        for day in ("03-21", "03-01"):
            self.change_due_date(invoice, day)
            self.drain()
        self.run_on("03-14", "03-15")
        self.assertReminders(invoice, "03-08 S1", "03-15 S2")

    def test_due_date_of_one_journal_item_changed_directly(self):
        """The first instalment is paid; the second one gets another week."""
        self._create_default((7,), (14,))
        invoice = self._create_invoice_in_instalments(("02-01", 40), ("03-01", 60))
        self.pay(invoice, 40)
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")
        lines = invoice.line_ids.filtered(lambda r: r.display_type == "payment_term")
        second = lines.filtered(lambda r: r.date_maturity == to_date("03-01"))
        second.date_maturity = to_date("03-09")
        self.run_on("03-15..03-16", "03-22..03-23")
        self.assertReminders(invoice, "03-08 S1", "03-23 S2")

    def test_instalments_put_together_in_one_say_nothing_again(self):
        self._create_default((7,), (14,), (30,))
        invoice = self._create_invoice_in_instalments(("02-01", 40), ("03-01", 60))
        self.run_on("02-08", "02-15")
        invoice.button_draft()
        invoice.write(
            {"invoice_payment_term_id": False, "invoice_date_due": to_date("02-10")}
        )
        invoice.action_post()
        self.run_on("02-17", "02-24", "03-12")
        self.assertReminders(invoice, "02-08 S1", "02-15 S2", "03-12 S3")

    def test_all_instalments_postponed_by_a_month_say_nothing_again(self):
        """The first one's new date is the old date of the second one."""
        self._create_default((7,), (14,))
        invoice = self._create_invoice_in_instalments(("02-01", 40), ("03-01", 60))
        self.run_on("02-08", "02-15")
        self.assertReminders(invoice, "02-08 S1", "02-15 S2")
        invoice.button_draft()
        for line in invoice.invoice_payment_term_id.line_ids:
            line.nb_days += 28
        invoice._compute_needed_terms()
        term = invoice.invoice_payment_term_id
        invoice.invoice_payment_term_id = False
        invoice.invoice_payment_term_id = term
        invoice.action_post()
        self.assertEqual(
            self.get_due_dates(invoice), [to_date("03-01"), to_date("03-29")]
        )
        self.run_on("03-08", "03-15", "04-05", "04-12")
        self.assertReminders(invoice, "02-08 S1", "02-15 S2", "04-05 S1", "04-12 S2")

    # ------------------------------------------------------------------------
    # OUTAGES AND REPEATED RUNS
    # ------------------------------------------------------------------------

    def test_after_two_weeks_of_outage_one_by_one_with_spacing(self):
        self._create_default((7,), (14,), (30,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08", "03-22..03-24", "03-31", "04-06..04-08")
        self.assertReminders(invoice, "03-08 S1", "03-22 S2", "04-07 S3")

    def test_an_outage_over_all_steps_loses_none(self):
        self._create_default((7,), (14,), (30,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("06-01..06-02", "06-07..06-09", "06-23..06-25")
        self.assertReminders(invoice, "06-01 S1", "06-08 S2", "06-24 S3")

    def test_run_three_times_a_day_sends_once(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        for hour in (8, 12, 17):
            self.run_day("03-08", hour)
        self.run_day("03-09", 8)
        self.assertReminders(invoice, "03-08 S1")
        self.assertEqual(len(self.sink.mails), 1)

    # ------------------------------------------------------------------------
    # BETWEEN SELECTION AND SENDING
    # ------------------------------------------------------------------------

    def test_paid_between_selection_and_sending_is_not_reminded(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        reminder = self.compose_day("03-08")
        message = reminder.mail_message_id
        self.assertIn(message, invoice.message_ids)
        self.pay(invoice)
        self.deliver()
        self.assertFalse(self.sink.mails)
        self.assertEqual(reminder.state, "cancelled")
        self.assertEqual(reminder.failure_reason, "Paid")
        self.assertFalse(message.exists(), "nothing is left on the invoice's thread")
        self.assertReminders(invoice)
        self.assertNext(invoice, "stopped", reason="paid")

    def test_paid_between_and_bounced_later_is_reminded_after_all(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.compose_day("03-08")
        self.pay(invoice)
        self.deliver()
        self.travel("03-10")
        self.unreconcile(invoice)
        self.run_on("03-10", "03-17")
        self.assertReminders(invoice, "03-10 S1", "03-17 S2")

    def test_paid_in_part_between_the_mail_names_what_remains(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01", amount=100)
        reminder = self.compose_day("03-08")
        self.assertIn("100.00", reminder.body)
        self.pay(invoice, 40)
        self.deliver()
        (mail,) = self.sink.mails
        self.assertIn("S1: $ 60.00", self.get_text(mail))
        self.assertNotIn("100.00", mail.html)
        self.assertEqual(reminder.line_ids.amount, 60)
        self.assertIn("60.00", invoice.message_ids.filtered("subject")[:1].body)

    def test_day_passed_between_the_mail_is_of_the_day_it_leaves(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        with self.server_down():
            self.run_on("03-08")
        self.run_on("03-10")
        (mail,) = self.sink.mails
        self.assertIn("since 03/01/2026, 9 days", self.get_text(mail))
        self.assertReminders(invoice, "03-10 S1")
        self.assertNext(invoice, "running", "03-17 S2")

    def test_paused_between_is_not_sent_and_comes_after_the_pause(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        reminder = self.compose_day("03-08")
        invoice.dunning_paused = True
        self.deliver()
        self.assertFalse(self.sink.mails)
        self.assertEqual(reminder.state, "cancelled")
        self.assertEqual(reminder.failure_reason, "Paused")
        invoice.dunning_paused = False
        self.run_on("03-09")
        self.assertReminders(invoice, "03-09 S1")

    def test_sequence_stopped_between_is_not_sent(self):
        sequence = self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.compose_day("03-08")
        sequence.action_stop()
        self.deliver()
        self.assertReminders(invoice)
        self.assertFalse(self.sink.mails)

    def test_customer_moved_between_is_not_sent(self):
        self._create_default((7,))
        other = self._create_sequence([(20,)], prefix="B")
        invoice = self._create_invoice_due("03-01")
        self.compose_day("03-08")
        self.customer.dunning_sequence_id = other
        self.deliver()
        self.assertFalse(self.sink.mails)
        self.run_on("03-21")
        self.assertReminders(invoice, "03-21 B1")

    def test_due_date_postponed_between_is_not_sent(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.compose_day("03-08")
        self.change_due_date(invoice, "03-21")
        self.deliver()
        self.assertFalse(self.sink.mails)
        self.run_on("03-09", "03-27", "03-28")
        self.assertReminders(invoice, "03-28 S1")

    def test_due_date_postponed_and_noticed_between_is_not_sent(self):
        """The minute's cron has followed the change before the mail leaves."""
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.compose_day("03-08")
        self.change_due_date(invoice, "03-21")
        self.drain()
        self.deliver()
        self.assertFalse(self.sink.mails)
        self.run_on("03-27", "03-28")
        self.assertReminders(invoice, "03-28 S1")

    def test_due_date_changed_by_a_day_between_is_in_the_text(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.compose_day("03-08")
        self.change_due_date(invoice, "02-27")
        self.drain()
        self.run_on("03-08", "03-09")
        self.assertEqual(len(self.sink.mails), 1)
        self.assertIn("since 02/27/2026", self.get_text(self.sink.mails[0]))

    # ------------------------------------------------------------------------
    # PAUSES
    # ------------------------------------------------------------------------

    def test_paused_and_resumed_at_the_same_place(self):
        self._create_default((7,), (14,), (30,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.travel("03-10")
        invoice.dunning_paused = True
        self.assertNext(invoice, "held", "03-15 S2", reason="pause")
        self.assertEqual(invoice.dunning_status, "paused")
        self.run_on("03-15", "04-01")
        invoice.action_dunning_resume()
        self.assertNext(invoice, "running", "03-15 S2")
        self.run_on("04-01..04-02", "04-16..04-17")
        self.assertReminders(invoice, "03-08 S1", "04-01 S2", "04-17 S3")

    def test_paused_until_a_day_resumes_by_itself_on_the_next(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        invoice.write({"dunning_paused": True, "dunning_pause_until": to_date("03-10")})
        self.run_on("03-08..03-10")
        self.assertNext(invoice, "held", "03-08 S1", reason="pause", until="03-10")
        self.run_on("03-11")
        self.assertReminders(invoice, "03-11 S1")

    def test_a_paused_customer_hears_nothing_others_do(self):
        self._create_default((7,))
        other = self._create_customer("Other")
        invoices = [self._create_invoice_due("03-01") for _i in range(2)]
        others = self._create_invoice_due("03-01", customer=other)
        self.customer.dunning_paused = True
        self.run_on("03-08")
        for invoice in invoices:
            self.assertNext(invoice, "held", "03-08 S1", reason="pause")
        self.assertReminders(others, "03-08 S1")
        self.customer.dunning_paused = False
        self.run_on("03-09")
        for invoice in invoices:
            self.assertReminders(invoice, "03-09 S1")

    def test_invoice_posted_while_its_customer_is_paused_waits(self):
        self._create_default((7,))
        self.customer.dunning_paused = True
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.assertNext(invoice, "held", "03-08 S1", reason="pause")

    def test_the_strongest_reason_is_shown(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        for kind in ("reply", "promise", "pause", "dispute"):
            self.env["dunning.hold"].create(
                {
                    "kind": kind,
                    "move_ids": [Command.set(invoice.ids)],
                    "until": to_date("04-01"),
                }
            )
            self.assertEqual(self.get_enrollment(invoice).hold_reason, kind)

    def test_a_promise_holds_until_its_date_and_three_days(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.travel("03-05")
        self.env["dunning.hold"].create(
            {
                "kind": "promise",
                "move_ids": [Command.set(invoice.ids)],
                "until": to_date("03-10"),
            }
        )
        self.run_on("03-08", "03-13")
        self.assertReminders(invoice)
        self.run_on("03-14")
        self.assertReminders(invoice, "03-14 S1")

    # ------------------------------------------------------------------------
    # WHOSE SEQUENCE
    # ------------------------------------------------------------------------

    def test_invoice_beats_customer_beats_company(self):
        self._create_default((7,), prefix="Company")
        customers = self._create_sequence([(7,)], prefix="Customer")
        invoices = self._create_sequence([(7,)], prefix="Invoice")
        special = self._create_customer("Special", dunning_sequence_id=customers.id)
        as_company = self._create_invoice_due("03-01")
        as_customer = self._create_invoice_due("03-01", customer=special)
        own = self._create_invoice_due("03-01", customer=special)
        own.dunning_sequence_id = invoices
        self.run_on("03-08")
        self.assertReminders(as_company, "03-08 Company1")
        self.assertReminders(as_customer, "03-08 Customer1")
        self.assertReminders(own, "03-08 Invoice1")
        self.assertEqual(own.dunning_effective_sequence_id, invoices)

    def test_none_on_the_customer_but_own_on_an_invoice(self):
        sequence = self._create_default((7,))
        self.customer.dunning_policy = "none"
        silent = self._create_invoice_due("03-01")
        own = self._create_invoice_due("03-01")
        own.dunning_sequence_id = sequence
        self.run_on("03-08")
        self.assertReminders(silent)
        self.assertReminders(own, "03-08 S1")

    def test_none_on_an_invoice(self):
        self._create_default((7,))
        silent = self._create_invoice_due("03-01")
        silent.dunning_policy = "none"
        other = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.assertReminders(silent)
        self.assertReminders(other, "03-08 S1")

    def test_none_and_then_again_goes_on_at_the_same_place(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        invoice.dunning_policy = "none"
        self.run_on("03-15")
        self.assertNext(invoice, "stopped", reason="no_sequence")
        invoice.dunning_policy = False
        self.run_on("03-16")
        self.assertReminders(invoice, "03-08 S1", "03-16 S2")

    def test_without_default_only_chosen_customers_are_reminded(self):
        sequence = self._create_sequence([(7,)])
        chosen = self._create_customer("Chosen")
        sequence.partner_ids = chosen
        self.assertEqual(chosen.dunning_policy, "own")
        silent = self._create_invoice_due("03-01")
        invoice = self._create_invoice_due("03-01", customer=chosen)
        self.run_on("03-08")
        self.assertReminders(silent)
        self.assertReminders(invoice, "03-08 S1")

    def test_a_contact_follows_his_company(self):
        sequence = self._create_sequence([(7,)])
        contact = self._create_contact(self.customer, "Anna")
        self.customer.dunning_sequence_id = sequence
        invoice = self._create_invoice_due("03-01", customer=contact)
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")
        self.assertEqual(self.get_enrollment(invoice).partner_id, self.customer)

    def test_adding_to_another_sequence_moves_the_customer(self):
        """P20: no step dated on or before the last reminder is said."""
        self._create_default((7,), (14,), (30,))
        other = self._create_sequence([(5,), (8,), (20,)], prefix="B")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.travel("03-12")
        other.partner_ids = self.customer
        self.drain()
        self.assertNext(invoice, "running", "03-21 B3")
        self.run_on("03-12..03-13", "03-20..03-22", "03-31")
        self.assertReminders(invoice, "03-08 S1", "03-21 B3")
        self.assertNext(invoice, "done")

    def test_moved_on_the_day_of_a_step_gets_it(self):
        self._create_default((7,), (14,))
        other = self._create_sequence([(8,), (20,)], prefix="B")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.travel("03-09")
        self.customer.dunning_sequence_id = other
        self.run_on("03-09", "03-20", "03-21")
        self.assertReminders(invoice, "03-08 S1", "03-09 B1", "03-21 B2")

    def test_moved_when_all_steps_are_past_is_done(self):
        self._create_default((7,), (14,))
        other = self._create_sequence([(3,), (5,)], prefix="B")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.customer.dunning_sequence_id = other
        self.run_on("03-09", "03-15")
        self.assertReminders(invoice, "03-08 S1")
        self.assertNext(invoice, "done")

    def test_moved_before_any_reminder_enters_on_that_day(self):
        self._create_default((20,))
        other = self._create_sequence([(3,), (5,), (10,)], prefix="B")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-07")
        self.customer.dunning_sequence_id = other
        self.run_on("03-07..03-08", "03-11..03-12")
        self.assertReminders(invoice, "03-07 B2", "03-12 B3")

    def test_moved_there_and_back_with_a_later_due_date_repeats_nothing(self):
        sequence = self._create_default((7,), (14,))
        other = self._create_sequence([(10,), (40,)], prefix="B")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.customer.dunning_sequence_id = other
        self.run_on("03-11")
        self.assertReminders(invoice, "03-08 S1", "03-11 B1")
        self.change_due_date(invoice, "03-20")
        self.customer.dunning_sequence_id = sequence
        self.run_on("03-27..03-28", "04-03..04-04")
        self.assertReminders(invoice, "03-08 S1", "03-11 B1", "04-03 S2")

    def test_writing_the_same_sequence_again_changes_nothing(self):
        """An import writes what is there already."""
        sequence = self._create_sequence([(7,), (14,)])
        self.customer.dunning_sequence_id = sequence
        invoice = self._create_invoice_due("03-01")
        self.drain()
        self.travel("03-20")
        self.customer.write(
            {"dunning_policy": "own", "dunning_sequence_id": sequence.id}
        )
        self.run_on("03-20")
        self.assertReminders(invoice, "03-20 S1")

    # ------------------------------------------------------------------------
    # CATCH-UP
    # ------------------------------------------------------------------------

    def _create_before_start(self, catch_up, *steps, start="03-20", **vals):
        """An invoice that is there already when the sequence starts."""
        invoice = self._create_invoice_due("03-01")
        self.travel(start)
        self._create_default(*steps, catch_up=catch_up, **vals)
        return invoice

    def test_crossing_leaves_out_what_is_past(self):
        invoice = self._create_before_start("crossing", (7,), (14,))
        self.run_on("03-20..03-22")
        self.assertReminders(invoice)
        self.assertNext(invoice, "held", reason="older")
        self.assertEqual(invoice.dunning_status, "held")
        self.assertIn("Older than the start", invoice.dunning_explanation)

    def test_crossing_enters_by_the_next_step_date(self):
        invoice = self._create_before_start("crossing", (7,), (14,), (30,))
        self.run_on("03-20..03-21", "03-30..03-31")
        self.assertReminders(invoice, "03-31 S3")

    def test_crossing_has_one_day_of_grace(self):
        """P11: the step of yesterday is still sent, the one before is not."""
        invoice = self._create_before_start("crossing", (7,), start="03-09")
        self.run_on("03-09")
        self.assertReminders(invoice, "03-09 S1")

    def test_crossing_two_days_late_is_too_late(self):
        invoice = self._create_before_start("crossing", (7,), start="03-10")
        self.run_on("03-10")
        self.assertReminders(invoice)

    def test_crossing_during_an_outage_is_not_lost(self):
        """It is judged from the start, never from the last run."""
        self.travel("02-25")
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-30", "04-06")
        self.assertReminders(invoice, "03-30 S1", "04-06 S2")

    def test_latest_starts_with_the_step_of_its_age(self):
        invoice = self._create_before_start("latest", (7,), (14,), (30,))
        self.run_on("03-20..03-21", "03-30", "03-31")
        self.assertReminders(invoice, "03-20 S2", "03-31 S3")

    def test_latest_keeps_the_next_date_however_near(self):
        invoice = self._create_before_start("latest", (7,), (14,), (20,))
        self.run_on("03-20..03-22")
        self.assertReminders(invoice, "03-20 S2", "03-21 S3")

    def test_first_starts_with_the_first_step_and_keeps_the_spacing(self):
        invoice = self._create_before_start("first", (7,), (14,), (30,))
        self.run_on("03-20..03-21", "03-26..03-28", "04-11..04-13")
        self.assertReminders(invoice, "03-20 S1", "03-27 S2", "04-12 S3")

    def test_joining_late_counts_from_joining(self):
        self._create_default((7,), (14,), (30,))
        own = self._create_sequence([(7,), (14,), (30,)], prefix="B")
        self.customer.dunning_policy = "none"
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08", "03-15")
        self.travel("03-20")
        own.partner_ids = self.customer
        self.run_on("03-20", "03-31")
        self.assertReminders(invoice, "03-31 B3")

    def test_the_customers_catch_up_beats_the_sequences(self):
        own = self._create_sequence([(7,), (14,), (30,)])
        invoice = self._create_invoice_due("03-01")
        self.travel("03-20")
        self.customer.write(
            {"dunning_sequence_id": own.id, "dunning_catch_up": "latest"}
        )
        self.run_on("03-20")
        self.assertReminders(invoice, "03-20 S2")

    def test_posted_late_counts_from_posting(self):
        """An invoice of February that is typed in March: nothing is past for it."""
        self._create_default((7,), (14,), (30,))
        self.travel("03-20")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-20", "03-31")
        self.assertReminders(invoice, "03-31 S3")

    def test_company_from_date_leaves_older_invoices_out(self):
        self._create_default((7,))
        self.company.dunning_from_date = to_date("02-15")
        older = self._create_invoice_due("03-01", invoice_date=to_date("02-14"))
        newer = self._create_invoice_due("03-01", invoice_date=to_date("02-15"))
        self.run_on("03-08")
        self.assertReminders(older)
        self.assertReminders(newer, "03-08 S1")

    def test_company_from_date_binds_only_followers_of_the_default(self):
        sequence = self._create_default((7,))
        self.company.dunning_from_date = to_date("02-15")
        self.customer.dunning_sequence_id = sequence
        invoice = self._create_invoice_due("03-01", invoice_date=to_date("02-14"))
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")

    def test_older_than_the_start_can_be_started_anyway(self):
        invoice = self._create_before_start("crossing", (7,), (14,))
        self.run_on("03-20")
        self.get_enrollment(invoice).action_start_anyway()
        self.assertNext(invoice, "running", "03-20 S2")
        self.run_on("03-20", "03-21", "04-01")
        self.assertReminders(invoice, "03-20 S2")
        self.assertNext(invoice, "done")

    # ------------------------------------------------------------------------
    # RHYTHM
    # ------------------------------------------------------------------------

    def test_last_step_repeats_so_many_times(self):
        repeating = {"delay": 7, "repeat_every": 10, "repeat_max": 2}
        self._create_default((3,), repeating)
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-03..03-09", "03-17..03-18", "03-27..03-29", "04-07")
        self.assertReminders(invoice, "03-04 S1", "03-08 S2", "03-18 S2", "03-28 S2")
        self.assertNext(invoice, "done")

    def test_last_step_repeats_until_paid(self):
        self._create_default({"delay": 7, "repeat_every": 20})
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08", "03-27", "03-28", "04-17", "05-07", "05-27")
        self.assertReminders(
            invoice, "03-08 S1", "03-28 S1", "04-17 S1", "05-07 S1", "05-27 S1"
        )
        self.pay(invoice)
        self.run_on("06-16")
        self.assertNext(invoice, "stopped", reason="paid")
        self.assertEqual(len(self.sink.mails), 5)

    def test_a_step_counts_from_the_previous_reminder_really_sent(self):
        self._create_default((7,), (10, "previous"), (5, "previous"))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08", "03-17", "03-20", "03-24", "03-25")
        self.assertReminders(invoice, "03-08 S1", "03-20 S2", "03-25 S3")

    def test_a_longer_delay_on_a_running_sequence_moves_what_comes(self):
        sequence = self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        sequence.step_ids[1].delay = 20
        self.run_on("03-15", "03-20", "03-21")
        self.assertReminders(invoice, "03-08 S1", "03-21 S2")

    def test_a_step_added_in_front_is_not_said_after_the_fact(self):
        sequence = self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        sequence.step_ids = [
            Command.create(self._prepare_step("New", 0, (3,))),
        ]
        self.run_on("03-09", "03-15")
        self.assertReminders(invoice, "03-08 S1", "03-15 S2")

    def test_a_deleted_step_keeps_its_history_and_the_rest_goes_on(self):
        sequence = self._create_default((7,), (14,), (30,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        sequence.step_ids[0].unlink()
        self.run_on("03-14", "03-15", "03-31")
        self.assertReminders(invoice, "03-08 S1", "03-15 S2", "03-31 S3")

    def test_a_step_deleted_while_its_mail_waits(self):
        sequence = self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.compose_day("03-08")
        sequence.step_ids[0].unlink()
        self.deliver()
        self.run_on("03-09", "03-14", "03-15")
        told = self.get_reminders(invoice)
        self.assertEqual(told[-1:], ["03-15 S2"])
        self.assertNext(invoice, "done")

    def test_two_steps_exchanged_after_both_were_sent_repeat_nothing(self):
        sequence = self._create_default((7,), (14,), (30,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08", "03-15")
        sequence.step_ids[0].write({"delay": 20, "sequence": 25})
        self.assertEqual(sequence.step_ids.mapped("name"), ["S2", "S1", "S3"])
        self.run_on("03-22", "03-31")
        self.assertReminders(invoice, "03-08 S1", "03-15 S2", "03-31 S3")

    def test_sequence_stopped_and_started_again_goes_on(self):
        sequence = self._create_default((7,), (14,), (30,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        sequence.action_stop()
        self.run_on("03-15")
        self.assertNext(invoice, "held", "03-15 S2", reason="sequence_off")
        self.travel("03-20")
        sequence.action_start()
        self.run_on("03-20", "04-04", "04-05")
        self.assertReminders(invoice, "03-08 S1", "03-20 S2", "04-05 S3")

    def test_never_reminded_before_a_stop_is_judged_from_the_new_start(self):
        sequence = self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.drain()
        sequence.action_stop()
        self.travel("03-20")
        sequence.action_start()
        self.run_on("03-20")
        self.assertReminders(invoice)
        self.assertNext(invoice, "held", reason="older")

    def test_posted_while_the_sequence_is_stopped(self):
        sequence = self._create_default((7,), (14,))
        sequence.action_stop()
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-05")
        sequence.action_start()
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")

    def test_an_archived_sequence_sends_nothing(self):
        sequence = self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.drain()
        sequence.active = False
        self.run_on("03-08")
        self.assertNext(invoice, "held", "03-08 S1", reason="sequence_off")
        self.assertFalse(self.sink.mails)

    # ------------------------------------------------------------------------
    # REASONS TO WAIT
    # ------------------------------------------------------------------------

    def assertWaits(self, invoice, reason, release, state="held"):
        """It waits for a reason, and comes once the reason is gone."""
        self.run_on("03-08")
        self.assertReminders(invoice)
        self.assertNext(invoice, state, "03-08 S1", reason=reason)
        release()
        self.run_on("03-09")
        self.assertReminders(invoice, "03-09 S1")

    def test_blocked_by_a_person_waits(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        invoice.action_toggle_block_payment()
        self.assertEqual(invoice.payment_state, "blocked")
        self.assertWaits(invoice, "blocked", invoice.action_toggle_block_payment)

    def test_excluded_from_follow_up_waits(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        invoice.no_followup = True

        def release():
            invoice.no_followup = False

        self.assertWaits(invoice, "no_followup", release)

    def test_payment_under_way_waits(self):
        """`in_payment` is only reached with Enterprise, or a localisation."""
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")

        def set_state(state):
            self.env.flush_all()
            self.env.cr.execute(
                "UPDATE account_move SET payment_state = %s WHERE id = %s",
                [state, invoice.id],
            )
            self.env.invalidate_all()

        set_state("in_payment")
        self.assertWaits(invoice, "in_payment", lambda: set_state("not_paid"))

    def test_online_payment_under_way_waits(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        methods = self.env["payment.method"].sudo().with_context(active_test=False)
        method = methods.search([], limit=1)
        provider = (
            self.env["payment.provider"]
            .sudo()
            .create({"name": "Shop", "company_id": self.company.id})
        )
        transaction = (
            self.env["payment.transaction"]
            .sudo()
            .create(
                {
                    "provider_id": provider.id,
                    "payment_method_id": method.id,
                    "reference": "dunning",
                    "amount": 100,
                    "currency_id": invoice.currency_id.id,
                    "partner_id": self.customer.id,
                    "state": "pending",
                    "invoice_ids": [Command.set(invoice.ids)],
                }
            )
        )

        def release():
            transaction.state = "cancel"

        self.assertWaits(invoice, "transaction", release)

    def test_excluded_payment_method_waits(self):
        sequence = self._create_default((7,))
        line = self.inbound_payment_method_line
        sequence.excluded_payment_method_ids = line.payment_method_id
        invoice = self._create_invoice_due(
            "03-01", preferred_payment_method_line_id=line
        )
        other = self._create_invoice_due("03-01", customer=self._create_customer("B"))
        other.preferred_payment_method_line_id = False

        def release():
            invoice.preferred_payment_method_line_id = False

        self.assertWaits(invoice, "payment_method", release)
        self.assertReminders(other, "03-08 S1")

    def test_never_sent_to_the_customer_waits_if_that_is_asked_for(self):
        self._create_default((7,), require_sent=True)
        invoice = self._create_invoice_due("03-01")

        def release():
            invoice.is_move_sent = True

        self.assertWaits(invoice, "not_sent", release)

    def test_never_sent_to_the_customer_goes_by_default(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.assertFalse(invoice.is_move_sent)
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")

    def test_minimum_amount_is_of_all_that_is_due_in_company_currency(self):
        self._create_default((7,), min_amount=100)
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        first = self._create_invoice_due("03-01", amount=150, currency_id=euro)
        self.assertEqual(first.amount_residual_signed, 75)
        self.run_on("03-08")
        self.assertNext(first, "held", "03-08 S1", reason="min_amount")
        # Not due yet: it does not add up.
        second = self._create_invoice_due("03-15", amount=150, currency_id=euro)
        self.run_on("03-09")
        self.assertReminders(first)
        self.run_on("03-15")
        self.assertReminders(first, "03-15 S1")
        self.run_on("03-22")
        self.assertReminders(second, "03-22 S1")

    def test_days_between_two_reminders_to_a_customer_hold_the_second(self):
        self._create_default((7,), min_contact_days=10)
        first = self._create_invoice_due("03-01")
        second = self._create_invoice_due("03-05")
        other = self._create_invoice_due("03-05", customer=self._create_customer("B"))
        self.run_on("03-08", "03-12")
        self.assertReminders(first, "03-08 S1")
        self.assertReminders(other, "03-12 S1")
        self.assertNext(
            second, "held", "03-12 S1", reason="contact_delay", until="03-17"
        )
        self.run_on("03-17", "03-18")
        self.assertReminders(second, "03-18 S1")

    def test_days_between_two_reminders_reach_over_all_sequences(self):
        self._create_default((7,), min_contact_days=10)
        own = self._create_sequence([(7,)], prefix="B")
        first = self._create_invoice_due("03-01")
        first.dunning_sequence_id = own
        second = self._create_invoice_due("03-05")
        self.run_on("03-08", "03-12", "03-18")
        self.assertReminders(first, "03-08 B1")
        self.assertReminders(second, "03-18 S1")

    def test_courtesy_notices_neither_wait_nor_count(self):
        self._create_default((-3,), (7,), min_contact_days=10)
        first = self._create_invoice_due("03-01")
        notice = self._create_invoice_due("03-14")
        self.run_on("02-26", "03-08", "03-11")
        self.assertReminders(first, "02-26 S1", "03-08 S2")
        self.assertReminders(notice, "03-11 S1")

    def test_reminders_of_one_day_do_not_hold_each_other(self):
        self._create_default((7,), min_contact_days=10, grouping="invoice")
        invoices = [self._create_invoice_due("03-01") for _i in range(3)]
        self.run_on("03-08")
        for invoice in invoices:
            self.assertReminders(invoice, "03-08 S1")

    def test_a_second_run_of_the_day_is_not_held_by_the_first(self):
        self._create_default((7,), min_contact_days=10, grouping="invoice")
        self._create_invoice_due("03-01")
        self.run_day("03-08", 9)
        second = self._create_invoice_due("03-01")
        self.run_day("03-08", 11)
        self.assertReminders(second, "03-08 S1")


@tagged("post_install", "-at_install")
class TestRules(DunningCommon):
    """What holds for each invoice, whatever its life: see docs/rules.md."""

    # ------------------------------------------------------------------------
    # ONCE
    # ------------------------------------------------------------------------

    def test_the_database_refuses_the_same_reminder_twice(self):
        """Whoever writes it: another worker, another host, or a mistake of ours."""
        self._create_default((7,))
        self._create_invoice_due("03-01")
        line = self.run_day("03-08").line_ids
        with self.assertRaises(psycopg2.errors.UniqueViolation):
            with mute_logger("odoo.sql_db"), self.env.cr.savepoint():
                line.sudo().copy()
                self.env.flush_all()

    def test_the_database_refuses_the_same_enrollment_twice(self):
        self._create_default((7,))
        enrollment = self._create_enrollment()
        with self.assertRaises(psycopg2.errors.UniqueViolation):
            with mute_logger("odoo.sql_db"), self.env.cr.savepoint():
                enrollment.sudo().copy({"state": "running"})
                self.env.flush_all()

    def _create_enrollment(self):
        invoice = self._create_invoice_due("03-01")
        self.drain()
        return self.get_enrollment(invoice)

    def test_two_runs_of_a_day_before_anything_left_write_one_reminder(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        first = self.compose_day("03-08")
        self.assertFalse(self.compose_day("03-08"))
        self.assertEqual(invoice.dunning_reminder_ids, first)
        self.deliver()
        self.deliver()
        self.assertEqual(len(self.sink.mails), 1)

    # ------------------------------------------------------------------------
    # A GOOD GUEST
    # ------------------------------------------------------------------------

    def test_an_invoice_as_any_other_has_nothing_of_ours(self):
        """Own columns are empty: on a million invoices nothing was written."""
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        Move = self.env["account.move"]
        own = [
            name
            for name, field in Move._fields.items()
            if name.startswith("dunning_") and field.store and field.column_type
        ]
        self.assertIn("dunning_policy", own)
        columns = SQL(", ").join(SQL.identifier(name) for name in own)
        values = self.env.execute_query(
            SQL("SELECT %s FROM account_move WHERE id = %s", columns, invoice.id)
        )
        self.assertEqual(values, [(None,) * len(own)])

    def test_posting_and_paying_go_on_when_the_engine_is_broken(self):
        """They only leave a mark; the engine follows when it works again."""
        self._create_default((7,))
        with patch.object(
            type(self.Enrollment), "_reconcile_moves", side_effect=ValueError
        ):
            invoice = self._create_invoice_due("03-01")
            other = self._create_invoice_due("03-01")
            self.pay(other)
            self.commit()
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")
        self.assertReminders(other)

    # ------------------------------------------------------------------------
    # TODAY IS A PARAMETER
    # ------------------------------------------------------------------------

    def test_the_day_is_what_the_caller_says(self):
        """The clock stands on 5 January all the while."""
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.commit()
        for day in ("03-08", "03-15"):
            moment = datetime.combine(to_date(day), time(9))
            self.root["dunning.enrollment"]._run(today=to_date(day))
            self.root["dunning.reminder"]._deliver(now=moment)
        self.assertReminders(invoice, "03-08 S1", "03-15 S2")
        self.assertEqual(
            [to_text(r.sent_on) for r in invoice.dunning_reminder_ids.sorted("id")],
            ["03-08", "03-15"],
        )
        self.assertIn("14 days", self.get_text(self.sink.mails[1]))

    # ------------------------------------------------------------------------
    # EVERY WAIT HAS A REASON
    # ------------------------------------------------------------------------

    def test_every_wait_says_why_and_until_when(self):
        """On the invoice, as in the lists."""
        self._create_default((7,), (14,))
        self.travel("03-01")
        paused, promised, disputed = (
            self._create_invoice_due("03-01", customer=self._create_customer(f"C{i}"))
            for i in range(3)
        )
        paused.write({"dunning_paused": True, "dunning_pause_until": to_date("03-20")})
        promised.dunning_promise_date = to_date("03-10")
        disputed.dunning_disputed = True
        nobody = self._create_customer("Nobody", email=False)
        silent = self._create_invoice_due("03-01", customer=nobody)
        self.run_on("03-08")
        self.assertEqual(paused.dunning_explanation, "Paused, until 03/20/2026")
        self.assertEqual(
            promised.dunning_explanation, "Promise to pay, until 03/13/2026"
        )
        self.assertEqual(disputed.dunning_explanation, "Dispute")
        self.assertEqual(silent.dunning_explanation, "No e-mail address")
        for invoice in paused + promised + disputed + silent:
            self.assertEqual(
                self.get_enrollment(invoice).explanation, invoice.dunning_explanation
            )

    # ------------------------------------------------------------------------
    # STATES OF AN INVOICE
    # ------------------------------------------------------------------------

    def test_the_most_urgent_of_its_instalments_is_shown(self):
        """And of the dates the earliest."""
        self._create_default((7,), (14,))
        invoice = self._create_invoice_in_instalments(("02-01", 30), ("03-01", 70))
        self.run_on("02-08")
        self.assertEqual(invoice.dunning_status, "active")
        self.assertEqual(to_text(invoice.dunning_next_date), "02-15")
        self.assertEqual(invoice.dunning_next_step_id.name, "S2")
        self.run_on("02-15")
        self.assertEqual(invoice.dunning_status, "active", "one is done, one is not")
        self.assertEqual(to_text(invoice.dunning_next_date), "03-08")
        self.customer.email = False
        self.run_on("03-08")
        self.assertEqual(invoice.dunning_status, "todo")
        self.customer.email = "azure@customer.example.com"
        self.run_on("03-09", "03-16")
        self.assertEqual(invoice.dunning_status, "done")
        self.assertFalse(invoice.dunning_next_date)

    def test_opening_balances_are_left_out(self):
        """Of an entry nobody knows what the customer was told."""
        self._create_default((7,))
        accounts = self.company_data
        receivable = accounts["default_account_receivable"]
        entry = self.env["account.move"].create(
            {
                "move_type": "entry",
                "date": to_date("01-05"),
                "line_ids": [
                    Command.create(
                        {
                            "account_id": receivable.id,
                            "partner_id": self.customer.id,
                            "debit": 100,
                            "date_maturity": to_date("03-01"),
                        }
                    ),
                    Command.create(
                        {
                            "account_id": accounts["default_account_revenue"].id,
                            "credit": 100,
                        }
                    ),
                ],
            }
        )
        entry.action_post()
        self.run_on("03-08")
        self.assertFalse(self.sink.mails)
        self.assertFalse(self.Enrollment.search([("move_id", "=", entry.id)]))

    def test_steps_by_hand_stay_out_of_the_mail_of_the_others(self):
        self._create_default((7,), {"delay": 14, "mode": "manual"})
        older = self._create_invoice_due("03-01")
        self.run_on("03-08")
        newer = self._create_invoice_due("03-08")
        self.run_on("03-15")
        self.assertReminders(older, "03-08 S1")
        self.assertNext(older, "todo", "03-15 S2", reason="manual")
        self.assertReminders(newer, "03-15 S1")

    # ------------------------------------------------------------------------
    # THE ORDER OF THE EVENTS OF ONE DAY
    # ------------------------------------------------------------------------

    def test_the_order_of_the_events_of_a_day_does_not_matter(self):
        """Whichever comes first, and whether the engine looks in between or not."""
        sequence = self._create_default((7,), (14,))
        own = self._create_sequence([(5,), (12,)], prefix="B")
        invoice = self._create_invoice_due("03-01")
        late = self._create_invoice_due("03-02", post=False)
        self.run_on("03-08")
        self.travel("03-10")
        events = [
            lambda: self.change_due_date(invoice, "03-03"),
            lambda: self.pay(invoice, 40),
            lambda: setattr(self.customer, "dunning_sequence_id", own),
            lambda: setattr(own.step_ids[1], "delay", 13),
            lambda: setattr(sequence.step_ids[1], "delay", 15),
            late.action_post,
        ]
        outcomes = set()
        for number, order in enumerate((events, events[::-1], events[3:] + events[:3])):
            outcomes.add(self._get_outcome(order, invoice + late, bool(number % 2)))
        self.assertEqual(len(outcomes), 1)

    def _get_outcome(self, events, invoices, looks_in_between):
        """Let it happen, return what comes next, and take it back."""
        self.commit()
        with self.env.cr.savepoint() as savepoint:
            for event in events:
                event()
                if looks_in_between:
                    self.drain()
            self.drain()
            found = self.Enrollment.search([("move_id", "in", invoices.ids)])
            outcome = tuple(
                (e.due_date, e.sequence_id, e.next_date, e.next_step_id, e.state)
                for e in found.sorted("id")
            )
            savepoint.rollback()
        self.env.cr.precommit.clear()
        self.env.invalidate_all()
        return outcome
