from odoo.tests import tagged

from .common import DunningCommon


@tagged("post_install", "-at_install")
class TestCredits(DunningCommon):
    """What a customer has in his favour, and nobody has allocated yet."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        body = "<p>You owe</p>{{ invoice_table }}"
        cls.sequence = cls._create_default(
            {"delay": 7, "body": body}, {"delay": 14, "body": body}
        )

    def setUp(self):
        super().setUp()
        self.travel("03-02")
        self.invoice = self._create_invoice_due("03-01", 100)

    def pay_on_account(self, amount, customer=None):
        """Return a payment that is not allocated."""
        payment = self.env["account.payment"].create(
            {
                "payment_type": "inbound",
                "partner_id": (customer or self.customer).id,
                "amount": amount,
                "journal_id": self.company_data["default_journal_bank"].id,
            }
        )
        payment.action_post()
        return payment

    def credit(self, amount):
        """Return a credit note that is not allocated."""
        return self._create_invoice_due("03-01", amount, move_type="out_refund")

    def allocate(self, entry, invoice):
        lines = (entry + invoice).line_ids.filtered(
            lambda line: line.account_id.account_type == "asset_receivable"
        )
        lines.reconcile()

    def test_mentioned_with_what_remains(self):
        self.pay_on_account(30)
        note = self.credit(20)
        self.run_on("03-08")
        text = self.get_text(self.sink.mails[-1])
        self.assertIn("In your favour, not allocated yet:", text)
        self.assertIn(note.name, text)
        self.assertRegex(text, r"What remains\s+\$\s?50\.00")

    def test_allocated_between_writing_and_leaving_it_is_what_is_open_then(self):
        note = self.credit(20)
        self.compose_day("03-08")
        self.allocate(note, self.invoice)
        self.pay_on_account(30)
        self.deliver()
        text = self.get_text(self.sink.mails[-1])
        self.assertNotIn(note.name, text)
        self.assertRegex(text, r"What remains\s+\$\s?50\.00")

    def test_paid_on_account_before_it_leaves_it_does_not(self):
        self.sequence.credit_policy = "hold"
        self.compose_day("03-08")
        payment = self.pay_on_account(100)
        self.deliver()
        self.assertFalse(self.sink.mails)
        self.assertEqual(self.get_last_reminder(self.invoice).state, "cancelled")
        self.run_on("03-09")
        self.assertNext(self.invoice, "held", "03-08 S1", "credits")
        self.allocate(payment.move_id, self.invoice)
        self.drain()
        self.assertNext(self.invoice, "stopped", None, "paid")

    def test_wait_until_they_are_allocated(self):
        self.sequence.credit_policy = "hold"
        note = self.credit(20)
        self.run_on("03-08", "03-09")
        self.assertReminders(self.invoice)
        self.allocate(note, self.invoice)
        self.run_on("03-10")
        self.assertReminders(self.invoice, "03-10 S1")

    def test_by_hand_it_leaves_all_the_same(self):
        self.sequence.credit_policy = "hold"
        self.credit(20)
        self.run_on("03-08")
        self.get_enrollment(self.invoice).action_remind()
        self.deliver()
        self.assertReminders(self.invoice, "03-08 S1")

    def test_ignored_nothing_is_said(self):
        self.sequence.credit_policy = "ignore"
        self.pay_on_account(100)
        self.run_on("03-08")
        self.assertNotIn("In your favour", self.get_text(self.sink.mails[-1]))

    def test_credits_of_others_are_nobody_s_business(self):
        self.pay_on_account(100, self._create_customer("Other"))
        self.run_on("03-08")
        self.assertNotIn("In your favour", self.get_text(self.sink.mails[-1]))

    def test_simulated_as_it_will_be(self):
        """The simulation holds whom the guard holds."""
        self.sequence.credit_policy = "hold"
        self.pay_on_account(100)
        simulation = self.env["dunning.simulation"].create({"days": 20})
        simulation.action_simulate()
        lines = simulation.line_ids.filtered(lambda line: line.move_id == self.invoice)
        self.assertFalse(lines.filtered("step_id"))
