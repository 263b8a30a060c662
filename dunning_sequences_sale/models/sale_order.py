from odoo import api, fields, models


class SaleOrder(models.Model):
    _inherit = "sale.order"

    dunning_warning = fields.Char(
        compute="_compute_dunning_warning",
        compute_sudo=True,
        groups="sales_team.group_sale_salesman",
        help="On a quotation, when the customer was reminded up to the last step.",
    )

    @api.depends("partner_id", "partner_invoice_id", "company_id", "state")
    @api.depends_context("lang")
    def _compute_dunning_warning(self):
        """Of quotations only, with one query for all: see `_get_dunning_warnings`."""
        self.dunning_warning = False
        quotations = self.filtered(lambda order: order.state in ("draft", "sent"))
        for company, orders in quotations.grouped("company_id").items():
            payers = orders.mapped(lambda order: order._get_dunning_payer())
            warnings = payers._get_dunning_warnings(company)
            for order in orders:
                payer = order._get_dunning_payer()._origin
                order.dunning_warning = warnings.get(payer.id, False)

    def _get_dunning_payer(self):
        """Who pays: the customer of the invoice address. Hook."""
        self.ensure_one()
        return (self.partner_invoice_id or self.partner_id).commercial_partner_id

    def action_view_dunning_overdue(self):
        """Open the overdue invoices of who pays."""
        self.check_access("read")
        return self.sudo()._get_dunning_payer().action_view_dunning_overdue()
