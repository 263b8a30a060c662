from odoo.exceptions import UserError
from odoo.tests import tagged

from .common import DunningCommon


@tagged("post_install", "-at_install")
class TestComparison(DunningCommon):
    """A share of the customers waits, so that the effect of reminders is known."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sequence = cls._create_default((7,), (14,), comparison_share=50)
        cls.groups = {"waiting": [], "reminded": []}
        number = 0
        while min(map(len, cls.groups.values())) < 3:
            number += 1
            customer = cls._create_customer(f"C{number}")
            group = cls.sequence._get_comparison_group(customer.id)
            cls.groups[group].append(customer)
        cls.invoices = {
            group: [
                cls._create_invoice_due("03-01", customer=customer)
                for customer in customers[:3]
            ]
            for group, customers in cls.groups.items()
        }

    def test_who_waits_is_reminded_in_the_end(self):
        waiting, reminded = self.invoices["waiting"][0], self.invoices["reminded"][0]
        self.run_on("03-05..03-15")
        self.assertReminders(reminded, "03-08 S1", "03-15 S2")
        self.assertReminders(waiting)
        self.assertNext(waiting, "held", reason="comparison", until="03-16")
        self.assertEqual(waiting.dunning_status, "held")
        self.run_on("03-16")
        self.assertReminders(waiting)
        self.run_on("03-17..03-25")
        self.assertReminders(waiting, "03-17 S1", "03-24 S2")

    def test_a_person_reminds_all_the_same_and_the_sequence_goes_on(self):
        first, second, third = self.invoices["waiting"]
        self.run_on("03-09")
        first.action_dunning_remind()
        self.deliver()
        self.assertReminders(first, "03-09 S1")
        # He has left the others: reminded once, he is reminded of it as usual.
        self.run_on("03-10..03-16")
        self.assertReminders(first, "03-09 S1", "03-16 S2")
        second.dunning_disputed = True
        self.assertNext(second, "held", reason="dispute")
        self.assertReminders(third)

    def test_a_customer_leaves_the_group(self):
        invoice = self.invoices["waiting"][0]
        other = self.invoices["waiting"][1]
        self.run_on("03-09")
        enrollment = self.get_enrollment(invoice)
        enrollment.action_leave_comparison()
        self.assertEqual(self.sequence.comparison_left_ids, invoice.partner_id)
        self.assertNext(invoice, "running", "03-08 S1")
        self.run_on("03-10")
        self.assertReminders(invoice, "03-10 S1")
        self.assertReminders(other)
        with self.assertRaises(UserError):
            enrollment.action_leave_comparison()
        # As decided then: else those who complain would be missing in one group only.
        self.assertEqual(enrollment.comparison, "waiting")

    def test_in_another_sequence_the_group_of_the_old_one_says_nothing(self):
        invoice = self.invoices["waiting"][0]
        self.run_on("03-05")
        self.assertEqual(self.get_enrollment(invoice).comparison, "waiting")
        invoice.write(
            {
                "dunning_policy": "own",
                "dunning_sequence_id": self._create_sequence(((7,), (14,))).id,
            }
        )
        self.run_on("03-06")
        self.assertFalse(self.get_enrollment(invoice).comparison)
        self.assertNext(invoice, "running", "03-08 S1")

    def test_a_larger_share_lets_nobody_go(self):
        customers = [self.env["res.partner"].new().browse(n) for n in range(1, 5001)]
        before = set()
        for share in (1, 10, 30, 50):
            self.sequence.comparison_share = share
            group = {
                customer.id
                for customer in customers
                if self.sequence._get_comparison_group(customer.id) == "waiting"
            }
            self.assertLessEqual(before, group)
            self.assertAlmostEqual(len(group) / 50, share, delta=4)
            before = group
        self.sequence.comparison_share = 0
        self.assertIsNone(self.sequence._get_comparison_group(1))
        # Nobody waits any more: the next run says so.
        self.run_on("03-08")
        for invoice in self.invoices["waiting"]:
            self.assertReminders(invoice, "03-08 S1")

    def test_a_larger_share_takes_nobody_out_of_the_other_group(self):
        """Else some who wait were counted among those who are reminded."""
        self.sequence.comparison_share = 1
        self.run_on("03-02")
        taken = self.Enrollment.search(
            [
                ("move_id", "in", [i.id for i in self.invoices["waiting"]]),
                ("comparison", "=", "reminded"),
            ]
        ).move_id
        self.assertGreater(len(taken), 1)
        self.sequence.comparison_share = 50
        self.run_on("03-03..03-08")
        for invoice in taken:
            self.assertReminders(invoice, "03-08 S1")
        # Their next invoice is of the group that is theirs now.
        later = self._create_invoice_due("04-01", customer=taken[0].partner_id)
        self.run_on("04-02")
        self.assertEqual(self.get_enrollment(later).hold_reason, "comparison")

    def test_the_groups_are_compared(self):
        """Paid 3 and 10 days late without, 2 days late with reminders; 1 credited."""
        self.run_on("03-02")
        self.travel("03-03")
        self.pay(self.invoices["reminded"][0])
        self.travel("03-04")
        self.pay(self.invoices["waiting"][0])
        refund = self._reverse(self.invoices["reminded"][1])
        self.assertEqual(refund.state, "posted")
        self.travel("03-11")
        self.pay(self.invoices["waiting"][1])
        self.run_on("03-11")
        self.travel("06-01")
        self.env.flush_all()
        found = self.env["dunning.comparison"]._read_group(
            [("sequence_id", "=", self.sequence.id)],
            ["comparison"],
            [
                "__count",
                "rate_7:avg",
                "rate_15:avg",
                "rate_15:count",
                "median_days:median",
                "amount:sum",
            ],
        )
        figures = {group: figures for group, *figures in found}
        third = 1 / 3
        self.assertEqual(
            {g: [round(f, 3) for f in figures[g]] for g in figures},
            {
                "waiting": [3, round(third, 3), round(2 * third, 3), 3, 6.5, 300],
                "reminded": [3, 0.5, 0.5, 2, 2, 300],
            },
        )
        summary = self.sequence.comparison_summary
        self.assertIn("Without reminders: 3 instalments, 67 % paid", summary)
        self.assertIn("With reminders: 2 instalments, 50 % paid", summary)
        self.assertIn("Too few to tell", summary)
        row = self.env["dunning.comparison"].search(
            [("move_id", "=", self.invoices["waiting"][2].id)]
        )
        self.assertFalse(row.settled_on)
        self.assertEqual(row.action_open_invoice()["res_id"], row.move_id.id)

    def _reverse(self, invoice):
        wizard = self.env["account.move.reversal"].with_context(
            active_model="account.move", active_ids=invoice.ids
        )
        wizard = wizard.create({"journal_id": invoice.journal_id.id})
        wizard.refund_moves()
        refund = wizard.new_move_ids
        if refund.state == "draft":
            refund.action_post()
        lines = (invoice + refund).line_ids
        lines = lines.filtered(lambda line: line.display_type == "payment_term")
        lines.filtered(lambda line: not line.reconciled).reconcile()
        return refund

    def test_what_nobody_reminds_of_is_in_no_group(self):
        """Older than the start, or followed by a sequence that compares nothing."""
        old = self._create_invoice_due("01-01", invoice_date="2025-12-01")
        other = self._create_sequence(((7,),), name="Other")
        alone = self._create_invoice_due(
            "03-01",
            customer=self._create_customer(
                "Alone", dunning_sequence_id=other.id, dunning_policy="own"
            ),
        )
        self.run_on("03-08")
        for invoice in (old, alone):
            self.assertFalse(invoice.dunning_enrollment_ids.comparison)
        self.assertReminders(alone, "03-08 S1")

    def test_a_simulation_knows_who_waits(self):
        self.travel("03-02")
        self.drain()
        simulation = self.env["dunning.simulation"].create(
            {"sequence_id": self.sequence.id}
        )
        simulation.action_simulate()
        reminded = simulation.line_ids.filtered(lambda r: r.outcome == "reminded")
        days = {
            (line.move_id, line.step_id.name): f"{line.date:%m-%d}" for line in reminded
        }
        self.assertEqual(days[self.invoices["waiting"][0], "S1"], "03-17")
        self.assertEqual(days[self.invoices["reminded"][0], "S1"], "03-08")
