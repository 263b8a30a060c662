from odoo.tests import Form, tagged

from odoo.addons.dunning_sequences.tests.common import DunningCommon


@tagged("post_install", "-at_install")
class TestQuotation(DunningCommon):
    """Who sells to somebody whose reminders are over is told."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env.user.group_ids += cls.env.ref("sales_team.group_sale_manager")
        cls._create_default((7,), (14,))
        cls.invoice = cls._create_invoice_due("03-01")
        cls.seller = cls._create_user("seller", "sales_team.group_sale_salesman")

    def quote(self, customer=None, **vals):
        return self.env["sale.order"].create(
            {
                "partner_id": (customer or self.customer).id,
                "user_id": self.seller.id,
                **vals,
            }
        )

    def test_a_quotation_for_him_is_written_with_a_warning(self):
        quotation, other = self.quote(), self.quote(self._create_customer("Other"))
        elsewhere = self.quote(other.partner_id, partner_invoice_id=self.customer.id)
        self.assertFalse(quotation.dunning_warning, "not yet reminded")
        self.run_on("03-08")
        # Whoever sells sees no invoice, and learns it all the same.
        mine = (quotation + other + elsewhere).with_user(self.seller)
        said = "Azure was reminded up to the last step and has not paid: 1 invoice"
        self.assertIn(said, mine[0].dunning_warning)
        self.assertFalse(mine[1].dunning_warning)
        self.assertIn(said, mine[2].dunning_warning, "whoever pays")
        with Form(mine.browse()) as form:
            self.assertFalse(form.dunning_warning)
            form.partner_id = self.customer
            self.assertIn(said, form.dunning_warning)
        action = quotation.action_view_dunning_overdue()
        found = self.env["account.move"].search(action["domain"])
        self.assertEqual(found, self.invoice)
        quotation.action_confirm()
        self.assertFalse(quotation.dunning_warning)
        self.pay(self.invoice)
        self.drain()
        self.assertFalse(elsewhere.dunning_warning)

    def test_it_costs_one_query_for_many_and_none_for_orders(self):
        quotations = self.quote() + self.quote(self._create_customer("Other"))
        self.run_on("03-08")
        quotations.mapped("dunning_warning")
        for state, queries in (("draft", 1), ("sale", 0)):
            quotations.state = state
            self.env.flush_all()
            quotations.invalidate_recordset(["dunning_warning"])
            before = self.env.cr.sql_log_count
            quotations.mapped("dunning_warning")
            self.assertEqual(self.env.cr.sql_log_count - before, queries, state)
