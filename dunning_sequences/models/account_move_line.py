from odoo import models


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    def write(self, vals):
        res = super().write(vals)
        if {"date_maturity", "no_followup"} & vals.keys():
            self.move_id._dunning_mark()
        return res
