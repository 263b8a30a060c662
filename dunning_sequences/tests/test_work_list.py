import ast

from odoo.exceptions import UserError

from .common import DunningCommon


class TestWorkList(DunningCommon):
    """What waits for a person is in one list, and is done from it."""

    def setUp(self):
        super().setUp()
        self.mail_server.from_filter = False  # Odoo writes to people, too

    def _get_list(self):
        self.env.invalidate_all()
        action = self.env.ref("dunning_sequences.dunning_enrollment_action_todo")
        return self.Enrollment.search(ast.literal_eval(action.domain))

    def test_what_waits_is_there_and_the_rest_is_not(self):
        approval = self._create_default({"delay": 7, "mode": "approval"}, (30,))
        manual = self._create_sequence([{"delay": 7, "mode": "manual"}, (30,)])
        mail = self._create_sequence(((7,), (30,)))
        invoices = {}
        for sequence in (approval, manual, mail):
            customer = self._create_customer(f"Of {sequence.id}")
            customer.dunning_sequence_id = sequence
            invoices[sequence] = self._create_invoice_due("03-01", customer=customer)
        nobody = self._create_customer("Nobody", email=False)
        nobody.dunning_sequence_id = mail
        lost = self._create_invoice_due("03-01", customer=nobody)
        self.run_day("03-08")
        waiting = invoices[approval] + invoices[manual] + lost
        self.assertEqual(self._get_list().move_id, waiting)
        self.run_on("03-09")
        self._get_list().filtered(
            lambda e: e.move_id == invoices[approval]
        ).action_approve()
        invoices[manual].dunning_enrollment_ids.action_remind()
        self.deliver()
        self.assertEqual(self._get_list().move_id, lost)
        self.assertEqual(len(self.sink.mails), 3)

    def test_doubtful_ones_and_answers_are_there(self):
        self._create_default((7,), (14,), grouping="invoice")
        doubtful = self._create_invoice_due("03-01")
        answered = self._create_invoice_due("03-01")
        reminders = self.compose_day("03-08")
        reminders.filtered(lambda r: r.move_id == doubtful).sudo()._doubt(1)
        self.deliver()
        self.env["dunning.hold"].create(
            {"kind": "reply", "move_ids": [(6, 0, answered.ids)]}
        )
        self.drain()
        self.assertEqual(self._get_list().move_id, doubtful + answered)
        self.get_last_reminder(doubtful).action_confirm_sent()
        self.assertEqual(self._get_list().move_id, answered)

    def test_it_is_sorted_by_the_step_that_waits(self):
        self._create_default({"delay": 7, "mode": "approval"}, (30,))
        self._create_invoice_due("03-01")
        self.run_day("03-08")
        todo = self._get_list()
        self.assertEqual(todo.todo_step_id.name, "S1")
        ((step, count),) = self.Enrollment._read_group(
            [("id", "in", todo.ids)], ["todo_step_id"], ["__count"]
        )
        self.assertEqual((step.name, count), ("S1", 1))
        todo.action_approve()
        self.deliver()
        self.env.invalidate_all()
        self.assertEqual(todo.todo_step_id.name, "S2")

    def test_nothing_to_decide_says_so(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-05")
        with self.assertRaisesRegex(UserError, "waits for approval"):
            invoice.dunning_enrollment_ids.action_approve()

    def test_it_opens_on_mine(self):
        clerk = self._create_user("clerk", "account.group_account_invoice")
        self._create_default({"delay": 7, "mode": "approval"}, user_id=clerk.id)
        self._create_invoice_due("03-01")
        self.run_day("03-08")
        action = self.Enrollment.with_user(clerk).action_open_work_list()
        self.assertEqual(action["context"], {"search_default_mine": 1})
        action = self.Enrollment.action_open_work_list()
        self.assertNotIn("search_default_mine", str(action["context"]))

    def test_a_job_that_does_not_run_is_said(self):
        self.env.ref("dunning_sequences.ir_cron_dunning_send").active = False
        run = self.env.ref("dunning_sequences.ir_cron_dunning_run")
        run.failure_count = 3
        recover = self.env.ref("dunning_sequences.ir_cron_dunning_recover")
        recover.nextcall = "2026-01-01 10:00:00"
        self.env.ref(
            "dunning_sequences.ir_cron_dunning_reconcile"
        ).nextcall = "2026-02-01"
        action = self.Enrollment.action_open_work_list()
        self.assertEqual(action["tag"], "display_notification")
        off, failed, late = sorted(
            action["params"]["message"].splitlines(),
            key=lambda text: ("off" not in text, "failed" not in text),
        )
        self.assertIn("switched off", off)
        self.assertIn("failed 3 times", failed)
        self.assertIn("should have run", late)
        self.assertEqual(action["params"]["next"]["res_model"], "dunning.enrollment")

    def test_letters_are_printed_from_it(self):
        self.customer.write({"street": "Main Street 1", "city": "Town"})
        self._create_default({"delay": 7, "channel": "letter"})
        self._create_invoice_due("03-01")
        self.run_day("03-08")
        todo = self._get_list()
        self.assertEqual(todo.action_print()["type"], "ir.actions.report")
        self.assertFalse(self._get_list())

    def test_postponing_asks_until_when(self):
        self._create_default({"delay": 7, "mode": "approval"})
        self._create_invoice_due("03-01")
        self.run_day("03-08")
        action = self._get_list().action_open_postpone()
        hold = self.env["dunning.hold"].with_context(**action["context"]).create({})
        self.assertEqual((hold.kind, str(hold.until)), ("pause", "2026-03-14"))
        self.assertFalse(self._get_list())
