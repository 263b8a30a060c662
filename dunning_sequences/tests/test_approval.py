from odoo.exceptions import AccessError, UserError

from .common import DunningCommon


class TestApproval(DunningCommon):
    """Steps that wait for a person: to approve, and by hand."""

    def setUp(self):
        super().setUp()
        self.mail_server.from_filter = False  # Odoo writes to people, too

    def _create_modes(self, *modes, **vals):
        """Create and start a default sequence: a step a week, of these modes."""
        steps = [
            {"delay": 7 * number, "mode": mode} for number, mode in enumerate(modes, 1)
        ]
        return self._create_default(*steps, **vals)

    # ------------------------------------------------------------------------
    # APPROVAL
    # ------------------------------------------------------------------------

    def test_nothing_leaves_before_it_is_approved(self):
        self._create_modes("approval", "auto")
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.run_on("03-09..03-11")
        self.assertFalse(self.sink.mails)
        self.assertEqual(reminder.state, "to_approve")
        self.assertEqual(invoice.dunning_status, "to_approve")
        reminder.action_approve()
        self.assertEqual((reminder.state, reminder.origin), ("queued", "approved"))
        self.assertEqual(reminder.approved_by, self.env.user)
        self.deliver()
        self.assertReminders(invoice, "03-11 S1")
        self.assertEqual(len(self.sink.mails), 1)

    def test_the_next_step_counts_from_the_approval(self):
        self._create_modes("approval", "auto")
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.run_on("03-12")
        reminder.action_approve()
        self.deliver()
        self.run_on("03-13..03-20")
        self.assertReminders(invoice, "03-12 S1", "03-19 S2")

    def test_what_is_paid_before_the_approval_is_taken_out(self):
        self._create_modes("approval")
        paid = self._create_invoice_due("03-01", 100)
        open_one = self._create_invoice_due("03-01", 200)
        reminder = self.run_day("03-08")
        self.assertIn("300", reminder.body)
        self.pay(paid)
        action = reminder.action_approve()
        self.assertEqual(
            action["res_id"], reminder.id, "the approver sees the new text"
        )
        self.deliver()
        self.assertNotIn("300", reminder.body)
        self.assertIn("200", reminder.body)
        self.assertReminders(paid)
        self.assertReminders(open_one, "03-08 S1")

    def test_approving_what_is_paid_cancels_it_without_an_error(self):
        self._create_modes("approval")
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.pay(invoice)
        reminder.action_approve()
        self.assertEqual(reminder.state, "cancelled")
        self.assertEqual(reminder.failure_reason, "Paid")
        self.deliver()
        self.assertFalse(self.sink.mails)

    def test_an_approval_no_longer_needed_disappears_by_itself(self):
        self._create_modes("approval")
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.pay(invoice)
        self.drain()
        self.assertEqual(reminder.state, "cancelled")

    def test_the_next_step_overtakes_what_nobody_approved(self):
        self._create_modes("approval", "auto")
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.run_on("03-09..03-15")
        self.assertEqual(reminder.state, "cancelled")
        self.assertIn("next step", reminder.failure_reason)
        self.assertReminders(invoice, "03-15 S2")

    def test_a_step_that_counts_from_the_previous_reminder_does_not_overtake(self):
        sequence = self._create_default(
            {"delay": 7, "mode": "approval"}, {"delay": 3, "trigger": "previous"}
        )
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.run_on("03-09..03-20")
        self.assertEqual(reminder.state, "to_approve")
        reminder.action_approve()
        self.deliver()
        self.run_on("03-21..03-24")
        self.assertReminders(invoice, "03-20 S1", "03-23 S2")
        self.assertEqual(sequence.step_ids[1].name, "S2")

    def test_a_skipped_step_counts_as_done(self):
        self._create_modes("approval", "auto")
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        reminder.action_skip()
        self.assertEqual(reminder.state, "skipped")
        self.run_on("03-09..03-15")
        self.assertEqual(len(self.sink.mails), 1)
        self.assertIn("S2", self.get_subjects()[0])
        self.assertEqual(invoice.dunning_status, "done")

    def test_one_line_to_approve_makes_the_mail_wait(self):
        self._create_modes("auto", "approval")
        older = self._create_invoice_due("03-01")
        self.run_on("03-08")
        newer = self._create_invoice_due("03-08")
        reminder = self.run_day("03-15")
        self.assertEqual(reminder.state, "to_approve")
        self.assertEqual(reminder.line_ids.move_id, older | newer)

    def test_only_who_bills_approves(self):
        self._create_modes("approval")
        self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        auditor = self._create_user("auditor", "account.group_account_readonly")
        billing = self._create_user("billing", "account.group_account_invoice")
        with self.assertRaises(AccessError):
            reminder.with_user(auditor).action_approve()
        reminder.with_user(billing).action_approve()
        self.assertEqual(reminder.approved_by, billing)
        with self.assertRaises(UserError):
            reminder.with_user(billing).action_approve()

    # ------------------------------------------------------------------------
    # BY HAND
    # ------------------------------------------------------------------------

    def test_a_manual_step_is_only_listed(self):
        self._create_modes("manual", "auto")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08..03-10")
        self.assertFalse(self.sink.mails)
        self.assertNext(invoice, "todo", "03-08 S1", reason="manual")

    def test_a_manual_step_is_sent_with_a_click(self):
        self._create_modes("manual", "auto")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08..03-10")
        invoice.action_dunning_remind()
        self.deliver()
        self.assertReminders(invoice, "03-10 S1")
        self.assertEqual(self.get_last_reminder(invoice).origin, "manual")
        self.run_on("03-11..03-17")
        self.assertReminders(invoice, "03-10 S1", "03-17 S2")

    def test_the_next_step_overtakes_what_nobody_did(self):
        self._create_modes("manual", "auto")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08..03-15")
        self.assertReminders(invoice, "03-15 S2")

    def test_a_phone_call_is_recorded(self):
        self._create_modes("manual", "auto")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08..03-09")
        invoice.dunning_enrollment_ids.action_record()
        reminder = self.get_last_reminder(invoice)
        self.assertEqual((reminder.state, reminder.email_to), ("recorded", ""))
        self.run_on("03-10..03-16")
        self.assertEqual(len(self.sink.mails), 1)
        self.assertNext(invoice, "done")

    def test_a_coming_step_is_sent_early_and_only_once(self):
        self._create_modes("auto", "auto")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-05")
        invoice.action_dunning_remind()
        self.deliver()
        self.run_on("03-06..03-08")
        self.assertReminders(invoice, "03-05 S1")

    def test_a_click_while_a_reminder_leaves_does_not_send_the_next_one(self):
        """Odoo repeats a request that collides: the step that was seen is gone then."""
        self._create_modes("auto", "auto")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        for click in (
            invoice.action_dunning_remind,
            invoice.dunning_enrollment_ids.action_remind,
        ):
            with self.assertRaisesRegex(UserError, "reminded of today: “S1”"):
                click()
        self.travel("03-09")
        invoice.action_dunning_remind()
        self.deliver()
        self.assertReminders(invoice, "03-08 S1", "03-09 S2")

    def test_a_paused_invoice_is_not_reminded_by_hand_either(self):
        self._create_modes("auto")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-05")
        invoice.dunning_paused = True
        with self.assertRaisesRegex(UserError, "Paused"):
            invoice.action_dunning_remind()

    def test_without_an_address_the_click_says_so(self):
        self._create_modes("manual")
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.customer.email = False
        with self.assertRaisesRegex(UserError, "no e-mail address"):
            invoice.action_dunning_remind()

    # ------------------------------------------------------------------------
    # THE RESPONSIBLE
    # ------------------------------------------------------------------------

    def test_the_responsible_is_told_once_and_not_for_each_reminder(self):
        anna = self._create_user("anna", "account.group_account_invoice")
        sequence = self._create_modes("approval", user_id=anna.id)
        for name in ("One", "Two", "Three"):
            self._create_invoice_due("03-01", customer=self._create_customer(name))
        self.run_on("03-08", "03-09")
        activity = sequence.activity_ids
        self.assertEqual(len(activity), 1)
        self.assertEqual(activity.user_id, anna)
        self.assertIn("3", activity.summary)
        self.env["dunning.reminder"].search(
            [("sequence_id", "=", sequence.id)]
        ).action_approve()
        self.run_on("03-10")
        self.assertFalse(sequence.activity_ids, "nothing waits any more")

    # ------------------------------------------------------------------------
    # ONE OF SEVERAL
    # ------------------------------------------------------------------------

    def test_recording_one_invoice_leaves_the_others_of_its_mail_to_approve(self):
        self._create_modes("approval", "auto")
        phoned = self._create_invoice_due("03-01", 10)
        waiting = self._create_invoice_due("03-01", 5000)
        reminder = self.run_day("03-08")
        phoned.dunning_enrollment_ids.action_record()
        self.assertReminders(phoned, "03-08 S1")
        self.assertEqual(self.get_last_reminder(phoned).state, "recorded")
        self.assertNext(waiting, "todo", reason="approval")
        reminder.action_approve()
        self.deliver()
        self.assertNotIn("5,010", reminder.body)
        self.assertReminders(waiting, "03-08 S1")

    def test_an_invoice_given_other_recipients_leaves_the_mail_of_the_others(self):
        self._create_modes("approval", "auto")
        project = self._create_invoice_due("03-01", 10)
        other = self._create_invoice_due("03-01", 5000)
        reminder = self.run_day("03-08")
        project.dunning_email_to = "project@elsewhere.example.com"
        reminder.action_approve()
        self.deliver()
        self.assertEqual(reminder.line_ids.filtered("counts").move_id, other)
        self.assertIn("azure@", reminder.email_to)
        proposed = self.run_day("03-09")
        self.assertEqual(proposed.line_ids.move_id, project)
        self.assertIn("project@elsewhere", proposed.email_to)

    def test_new_recipients_of_all_are_those_of_the_mail_in_their_language(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self._create_modes("approval")
        self._create_invoice_due("03-01", 1250)
        reminder = self.run_day("03-08")
        self.assertIn("1,250.00", reminder.body)
        self._create_contact(self.customer, "Marie", lang="fr_FR", dunning_contact=True)
        reminder.action_approve()
        self.assertEqual(reminder.lang, "fr_FR")
        self.assertIn("marie@", reminder.email_to)
        self.assertIn("250,00", reminder.body)

    def test_reminding_one_instalment_leaves_the_others_alone(self):
        self._create_modes("auto", "auto")
        invoice = self._create_invoice_in_instalments(
            ("03-01", 40), ("04-01", 30), ("05-01", 30)
        )
        self.run_on("03-05")
        invoice.dunning_enrollment_ids[0].action_remind()
        self.deliver()
        self.assertReminders(invoice, "03-05 S1")

    def test_reminding_an_invoice_takes_what_is_due_else_the_earliest(self):
        self._create_modes("auto", "auto")
        invoice = self._create_invoice_in_instalments(("03-01", 50), ("04-01", 50))
        self.run_on("03-05")
        invoice.action_dunning_remind()
        self.deliver()
        lines = invoice.dunning_reminder_line_ids
        self.assertEqual(lines.mapped("amount"), [50])
