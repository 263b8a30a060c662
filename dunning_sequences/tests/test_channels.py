from odoo.exceptions import AccessError, UserError, ValidationError

from .common import DunningCommon


class ChannelCommon(DunningCommon):
    """Steps that are not e-mails."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.customer.write({"street": "Main Street 1", "zip": "1000", "city": "Town"})
        cls.mail_server.from_filter = False  # Odoo writes to people, too


class TestLetters(ChannelCommon):
    """Letters count from the day on which somebody prints them."""

    def test_a_letter_waits_for_the_printer_and_counts_from_then_on(self):
        self._create_default({"delay": 7, "channel": "letter"}, (14,))
        invoice = self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        self.assertEqual((letter.state, letter.channel), ("to_print", "letter"))
        self.assertNext(invoice, "todo", "03-15 S2", "letter")
        self.assertEqual(invoice.dunning_status, "todo")
        self.run_on("03-09", "03-10")
        action = letter.action_print()
        self.assertEqual(action["type"], "ir.actions.report")
        self.assertEqual((letter.state, str(letter.sent_on)), ("sent", "2026-03-10"))
        self.assertFalse(self.sink.mails)
        self.run_on("03-11..03-20")
        self.assertReminders(invoice, "03-10 S1", "03-17 S2")

    def test_the_letter_says_what_is_true_when_it_is_printed(self):
        self._create_default({"delay": 7, "channel": "letter"})
        invoice = self._create_invoice_due("03-01", 100)
        letter = self.run_day("03-08")
        self.pay(invoice, 40)
        self.travel("03-09")
        letter.action_print()
        self.assertIn("60.00", letter.body)
        self.assertIn(letter.mail_message_id, invoice.message_ids)

    def test_who_paid_meanwhile_gets_no_letter(self):
        self._create_default({"delay": 7, "channel": "letter"})
        invoice = self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        self.pay(invoice)
        self.assertTrue(letter.action_print(), "nothing to print, and no error")
        self.assertEqual(letter.state, "cancelled")
        self.assertIn("Paid", letter.failure_reason)

    def test_a_paid_letter_disappears_from_the_list_by_itself(self):
        self._create_default({"delay": 7, "channel": "letter"})
        invoice = self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        self.pay(invoice)
        self.drain()
        self.assertEqual(letter.state, "cancelled")

    def test_a_printed_letter_is_printed_again_without_counting_twice(self):
        self._create_default({"delay": 7, "channel": "letter"})
        invoice = self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        letter.action_print()
        self.travel("03-12")
        letter.action_print()
        self.assertReminders(invoice, "03-08 S1")

    def test_without_a_postal_address_it_is_a_thing_to_do(self):
        self.customer.write({"street": False, "city": False})
        self._create_default({"delay": 7, "channel": "letter"})
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertNext(invoice, "todo", "03-08 S1", "no_address")
        self.customer.write({"street": "Main Street 1", "city": "Town"})
        self.run_day("03-09")
        self.assertEqual(self.get_last_reminder(invoice).state, "to_print")

    def test_an_invoice_contact_without_an_address_has_that_of_his_company(self):
        self._create_contact(self.customer, "Ann", type="invoice")
        self._create_default({"delay": 7, "channel": "letter"})
        self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        self.assertEqual(letter._get_letter_address(), self.customer)

    def test_who_has_no_e_mail_address_gets_a_letter(self):
        self.customer.email = False
        self._create_default({"delay": 7, "channel": "letter"})
        self._create_invoice_due("03-01")
        self.assertEqual(self.run_day("03-08").state, "to_print")

    def test_a_letter_to_approve_is_printed_after_the_approval(self):
        step = {"delay": 7, "channel": "letter", "mode": "approval"}
        self._create_default(step)
        self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        with self.assertRaisesRegex(UserError, "once they are approved"):
            letter.action_print()
        letter.action_approve()
        self.assertEqual(letter.state, "to_print")
        letter.action_print()
        self.assertEqual((letter.state, letter.origin), ("sent", "approved"))

    def test_the_next_step_overtakes_a_letter_that_nobody_printed(self):
        self._create_default({"delay": 7, "channel": "letter"}, (14,))
        invoice = self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        self.run_day("03-15")
        self.assertEqual(letter.state, "cancelled")
        self.assertReminders(invoice, "03-15 S2")

    def test_a_mail_and_a_letter_of_one_day_are_two(self):
        self._create_default((7,), {"delay": 14, "channel": "letter"})
        self._create_invoice_due("03-01")
        self.run_on("03-08")
        self._create_invoice_due("03-08")
        self.assertEqual(
            sorted(self.run_day("03-15").mapped("channel")), ["email", "letter"]
        )

    def test_the_printed_page(self):
        self._create_default({"delay": 7, "channel": "letter"})
        self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        letter.action_print()
        report = self.env["ir.actions.report"]
        page, _kind = report._render_qweb_html(
            "dunning_sequences.action_report_dunning_letter", letter.ids
        )
        for text in ("Main Street 1", "100.00", letter.subject, "March 8, 2026"):
            self.assertIn(text, page.decode())

    def test_a_letter_of_a_deleted_sequence_is_not_printed(self):
        sequence = self._create_default({"delay": 7, "channel": "letter"})
        self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        sequence.action_stop()
        sequence.unlink()
        self.assertEqual(letter.state, "cancelled")

    def test_a_reader_prints_nothing(self):
        self._create_default({"delay": 7, "channel": "letter"})
        self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        reader = self._create_user("auditor", "account.group_account_readonly")
        with self.assertRaises(AccessError):
            letter.with_user(reader).action_print()


class TestActivities(ChannelCommon):
    """Calls and visits count from the day on which they are done."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.clerk = cls._create_user("clerk", "account.group_account_invoice")
        cls.collector = cls._create_user("collector", "account.group_account_invoice")

    def _create_calls(self, **vals):
        call = {"delay": 7, "channel": "activity", "content": "template", **vals}
        call.update(subject=False, body=False, template_id=False)
        return self._create_default(call, (14,), user_id=self.clerk.id)

    def test_done_counts_as_reminded(self):
        self._create_calls(activity_summary="Call them")
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        activity = invoice.activity_ids
        self.assertEqual(
            (activity.summary, activity.user_id), ("Call them", self.clerk)
        )
        self.assertEqual(reminder.state, "to_do")
        self.assertNext(invoice, "todo", "03-15 S2", "activity")
        self.run_on("03-09", "03-10")
        self.assertEqual(len(invoice.activity_ids), 1, "asked for once")
        activity.with_user(self.clerk).action_feedback(feedback="They pay on Monday")
        self.assertEqual(
            (reminder.state, str(reminder.sent_on)), ("recorded", "2026-03-10")
        )
        self.run_on("03-11..03-20")
        self.assertReminders(invoice, "03-10 S1", "03-17 S2")

    def test_activities_of_others_wake_nobody(self):
        send = self.env.ref("dunning_sequences.ir_cron_dunning_send")
        before = self.env["ir.cron.trigger"].search([("cron_id", "=", send.id)])
        self.customer.activity_schedule("mail.mail_activity_data_todo").action_done()
        self.customer.activity_schedule("mail.mail_activity_data_todo").unlink()
        after = self.env["ir.cron.trigger"].search([("cron_id", "=", send.id)])
        self.assertEqual(after, before)

    def test_cancelled_skips_the_step(self):
        self._create_calls()
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        invoice.activity_ids.with_user(self.clerk).unlink()
        self.assertEqual(reminder.state, "skipped")
        self.run_on("03-09..03-16")
        self.assertReminders(invoice, "03-08 S1", "03-15 S2")
        self.assertFalse(invoice.activity_ids)

    def test_who_pays_is_not_called(self):
        self._create_calls()
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.pay(invoice)
        self.drain()
        self.assertEqual(reminder.state, "cancelled")
        self.assertFalse(invoice.activity_ids)

    def test_the_next_step_overtakes_a_call_that_nobody_made(self):
        self._create_calls()
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.run_day("03-15")
        self.assertEqual(reminder.state, "cancelled")
        self.assertFalse(invoice.activity_ids)
        self.assertReminders(invoice, "03-15 S2")

    def test_one_call_for_all_invoices_of_a_customer(self):
        self._create_calls()
        invoices = self._create_invoice_due("03-01") + self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.assertEqual(len(invoices.activity_ids), 1)
        self.assertEqual(reminder.move_ids, invoices)
        for invoice in invoices:
            self.assertIn(invoice.name, invoices.activity_ids.note)

    def test_the_collector_of_the_customer_calls(self):
        self._create_calls()
        self.customer.dunning_user_id = self.collector
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertEqual(invoice.activity_ids.user_id, self.collector)

    def test_the_step_can_name_somebody(self):
        self._create_calls(activity_user_id=self.env.user.id)
        self.customer.dunning_user_id = self.collector
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertEqual(invoice.activity_ids.user_id, self.env.user)

    def test_marked_as_reminded_ends_the_activity(self):
        self._create_calls()
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        invoice.dunning_enrollment_ids.action_record()
        self.assertEqual(reminder.state, "cancelled")
        self.assertFalse(invoice.activity_ids)
        self.assertReminders(invoice, "03-08 S1")

    def test_it_has_no_text_and_needs_none(self):
        sequence = self._create_calls()
        step = sequence.step_ids[0]
        with self.assertRaises(ValidationError):
            step.channel = "email"
        with self.assertRaisesRegex(UserError, "sends no message"):
            step.action_send_test()


class TestResponsibles(ChannelCommon):
    """One activity for each responsible, whatever waits for him."""

    def _get_todos(self, user):
        return self.env["mail.activity"].search(
            [("res_model", "=", "dunning.sequence"), ("user_id", "=", user.id)]
        )

    def test_two_sequences_are_one_activity_and_collectors_have_their_own(self):
        clerk = self._create_user("clerk", "account.group_account_invoice")
        collector = self._create_user("collector", "account.group_account_invoice")
        step = {"delay": 7, "mode": "approval"}
        self._create_default(step, user_id=clerk.id)
        other = self._create_sequence([step], user_id=clerk.id)
        customers = [self._create_customer(f"C{n}") for n in range(3)]
        customers[0].dunning_sequence_id = other
        customers[2].dunning_user_id = collector
        for customer in customers:
            self._create_invoice_due("03-01", customer=customer)
        self.run_day("03-08")
        self.assertEqual(self._get_todos(clerk).summary, "2 reminders need you")
        self.assertEqual(self._get_todos(collector).summary, "1 reminder needs you")
        self.run_day("03-09")
        self.assertEqual(len(self._get_todos(clerk)), 1)

    def test_the_responsible_hears_of_a_broken_promise(self):
        clerk = self._create_user("clerk", "account.group_account_invoice")
        self._create_default((7,), user_id=clerk.id)
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-05")
        invoice.dunning_promise_date = "2026-03-10"
        self.run_on("03-08..03-16")
        self.assertReminders(invoice, "03-14 S1")
        activity = invoice.activity_ids
        self.assertEqual((len(activity), activity.user_id), (1, clerk))
        self.assertIn("100.00", activity.summary)

    def test_a_kept_promise_needs_nobody(self):
        clerk = self._create_user("clerk", "account.group_account_invoice")
        self._create_default((7,), user_id=clerk.id)
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-05")
        invoice.dunning_promise_date = "2026-03-10"
        self.travel("03-09")
        self.pay(invoice)
        self.run_on("03-09..03-16")
        self.assertEqual(invoice.dunning_hold_ids.outcome, "kept")
        self.assertFalse(invoice.activity_ids)


class TestPostpone(ChannelCommon):
    """A coming reminder waits until a day, and then goes on by itself."""

    def test_it_leaves_on_the_day_that_was_chosen(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-07")
        invoice.dunning_enrollment_ids.action_postpone("2026-03-11")
        self.assertNext(invoice, "held", reason="pause", until="03-10")
        self.run_on("03-08..03-20")
        self.assertReminders(invoice, "03-11 S1", "03-18 S2")

    def test_what_waits_for_approval_can_be_postponed(self):
        self._create_default({"delay": 7, "mode": "approval"})
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        invoice.dunning_enrollment_ids.action_postpone("2026-03-11")
        self.assertEqual(invoice.dunning_status, "paused")
        self.run_on("03-09..03-11")
        self.assertNext(invoice, "todo", reason="approval")
        reminder.action_approve()
        self.deliver()
        self.assertReminders(invoice, "03-11 S1")

    def test_a_day_that_has_passed_is_refused(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-07")
        with self.assertRaisesRegex(UserError, "after today"):
            invoice.dunning_enrollment_ids.action_postpone("2026-03-07")


class TestMessage(ChannelCommon):
    """A test message shows the step with real figures, and leaves no trace."""

    def test_it_comes_to_oneself_and_nothing_is_written(self):
        sequence = self._create_default((7,))
        invoice = self._create_invoice_due("03-01", 321)
        self.run_day("03-08")
        self.env.user.email = "me@test.example.com"
        self.sink.clear()
        counts = self._count()
        action = sequence.step_ids.action_send_test()
        self.assertEqual(action["tag"], "display_notification")
        (mail,) = self.sink.mails
        self.assertEqual(mail.recipients, ["me@test.example.com"])
        self.assertTrue(mail.subject.startswith("[Test] S1"))
        self.assertIn("321.00", self.get_text(mail))
        self.assertIn("This is a test", self.get_text(mail))
        self.assertEqual(self._count(), counts)
        self.assertReminders(invoice, "03-08 S1")

    def _count(self):
        self.env.flush_all()
        return [
            self.env[name].search_count([])
            for name in (
                "dunning.reminder",
                "dunning.reminder.line",
                "dunning.enrollment",
                "mail.message",
                "mail.notification",
            )
        ]

    def test_a_draft_sequence_and_a_letter_can_be_tested(self):
        steps = [{"delay": 7, "channel": "letter"}]
        sequence = self._create_sequence(steps, start=False)
        self._create_invoice_due("03-01", 321)
        self.env.user.email = "me@test.example.com"
        self.sink.clear()
        sequence.step_ids.action_send_test()
        (mail,) = self.sink.mails
        self.assertIn("321.00", self.get_text(mail))

    def test_without_any_invoice_it_says_what_to_do(self):
        sequence = self._create_sequence(((7,),), start=False)
        self.env["account.move"].search([]).filtered(
            lambda move: move.state == "posted"
        ).button_draft()
        self.env.user.email = "me@test.example.com"
        with self.assertRaisesRegex(UserError, "no posted invoice yet"):
            sequence.step_ids.action_send_test()

    def test_without_an_address_of_ones_own_it_says_what_to_do(self):
        sequence = self._create_sequence(((7,),), start=False)
        self.env.user.email = False
        with self.assertRaisesRegex(UserError, "in your preferences"):
            sequence.step_ids.action_send_test()
