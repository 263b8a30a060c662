from odoo.exceptions import AccessError, UserError

from .common import DunningCommon


class TestUndo(DunningCommon):
    """What a person decided can be taken back until something has left."""

    def setUp(self):
        super().setUp()
        self.mail_server.from_filter = False  # Odoo writes to people, too
        self._create_default({"delay": 7, "mode": "approval"}, (14,))
        self.invoice = self._create_invoice_due("03-01")
        self.reminder = self.run_day("03-08")

    def test_an_approval_is_taken_back_before_the_mail_leaves(self):
        self.reminder.action_approve()
        self.assertTrue(self.reminder.can_undo)
        self.reminder.action_undo()
        self.assertEqual(self.reminder.state, "to_approve")
        self.assertFalse(self.reminder.approved_by)
        self.deliver()
        self.assertFalse(self.sink.mails)
        self.assertNext(self.invoice, "todo", reason="approval", coming="03-15 S2")
        self.reminder.action_approve()
        self.deliver()
        self.assertEqual(len(self.sink.mails), 1)

    def test_a_skipped_step_comes_back(self):
        self.reminder.action_skip()
        self.assertNext(self.invoice, "running", "03-15 S2")
        self.reminder.action_undo()
        self.assertNext(self.invoice, "running", "03-08 S1")
        self.assertEqual(self.run_day("03-09").state, "to_approve")

    def test_marked_as_reminded_by_mistake(self):
        self.invoice.dunning_enrollment_ids.action_record()
        self.assertReminders(self.invoice, "03-08 S1")
        self.get_last_reminder(self.invoice).action_undo()
        self.assertReminders(self.invoice)
        self.assertNext(self.invoice, "running", "03-08 S1")

    def test_what_has_left_or_was_followed_cannot_be_undone(self):
        self.reminder.action_skip()
        self.run_on("03-15")
        self.assertReminders(self.invoice, "03-08 S1", "03-15 S2")
        for reminder in self.invoice.dunning_reminder_ids:
            self.assertFalse(reminder.can_undo)
            with self.assertRaisesRegex(UserError, "no later reminder"):
                reminder.action_undo()

    def test_what_may_have_left_is_neither_undone_nor_cancelled(self):
        self.reminder.action_approve()
        self.env["dunning.attempt"]._write_ahead(self.reminder.message_id, 1)
        for decision in (self.reminder.action_undo, self.reminder.action_cancel):
            with self.assertRaisesRegex(UserError, "handed to the mail server"):
                decision()

    def test_who_only_reads_decides_nothing(self):
        reader = self._create_user("auditor", "account.group_account_readonly")
        self.reminder.action_skip()
        with self.assertRaises(AccessError):
            self.reminder.with_user(reader).action_undo()


class TestRestart(DunningCommon):
    """A person may let an instalment begin again: by itself nothing ever does."""

    def test_from_the_first_step_with_the_history_kept(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08", "03-15")
        self.change_due_date(invoice, "04-01")
        self.run_on("03-16")
        self.assertNext(invoice, "done")
        invoice.dunning_enrollment_ids.action_restart()
        self.assertNext(invoice, "running", "04-08 S1")
        self.run_on("03-17", "04-08", "04-15")
        self.assertReminders(invoice, "04-08 S1", "04-15 S2")
        self.assertEqual(len(invoice.dunning_reminder_ids), 4)

    def test_what_waits_for_approval_is_cancelled(self):
        self._create_default({"delay": 7, "mode": "approval"})
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        invoice.dunning_enrollment_ids.action_restart()
        self.assertEqual(reminder.state, "cancelled")
        self.assertNext(invoice, "running", "03-08 S1")

    def test_not_while_a_reminder_is_about_to_leave(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.compose_day("03-08")
        with self.assertRaisesRegex(UserError, "about to leave"):
            invoice.dunning_enrollment_ids.action_restart()


class TestDoubtful(DunningCommon):
    """The answer of the mail server was lost: a person says whether it arrived."""

    def setUp(self):
        super().setUp()
        self._create_default((7,), (14,))
        self.invoice = self._create_invoice_due("03-01")
        self.reminder = self.compose_day("03-08")
        self.reminder.sudo()._doubt(1)
        self.commit()

    def test_it_has_arrived(self):
        self.reminder.action_confirm_sent()
        self.assertEqual(self.reminder.state, "sent")
        self.assertReminders(self.invoice, "03-08 S1")
        self.assertNext(self.invoice, "running", "03-15 S2")

    def test_it_is_sent_again(self):
        self.reminder.action_retry()
        self.deliver()
        self.assertEqual(self.reminder.state, "failed")
        self.assertEqual(
            self.get_last_reminder(self.invoice).retry_of_id, self.reminder
        )
        self.assertReminders(self.invoice, "03-08 S1")
        self.assertEqual(len(self.sink.mails), 1)


class TestResponsible(DunningCommon):
    """The work list of each: the collector's customers are his, the rest theirs."""

    def test_mine(self):
        clerk = self._create_user("clerk", "account.group_account_invoice")
        collector = self._create_user("collector", "account.group_account_invoice")
        self._create_default((7,), user_id=clerk.id)
        other = self._create_customer("Other", dunning_user_id=collector.id)
        mine = self._create_invoice_due("03-01")
        his = self._create_invoice_due("03-01", customer=other)
        self.run_day("03-05")
        for user, invoice in ((clerk, mine), (collector, his)):
            found = self.Enrollment.search([("responsible_id", "=", user.id)])
            self.assertEqual(found.move_id, invoice)
            self.assertEqual(found.responsible_id, user)
        self.assertEqual(
            self.Enrollment.search([("responsible_id", "in", (clerk + collector).ids)]),
            (mine + his).dunning_enrollment_ids,
        )
