from odoo import api, models


class PaymentTransaction(models.Model):
    """While an online payment is under way, its invoices wait."""

    _inherit = "payment.transaction"

    @api.model_create_multi
    def create(self, vals_list):
        transactions = super().create(vals_list)
        transactions.sudo().invoice_ids._dunning_mark()
        return transactions

    def write(self, vals):
        res = super().write(vals)
        if {"state", "invoice_ids"} & vals.keys():
            self.sudo().invoice_ids._dunning_mark()
        return res
