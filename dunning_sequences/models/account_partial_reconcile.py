from odoo import api, models


class AccountPartialReconcile(models.Model):
    """Each payment, part payment, credit and each undoing of one passes here."""

    _inherit = "account.partial.reconcile"

    @api.model_create_multi
    def create(self, vals_list):
        partials = super().create(vals_list)
        partials._get_dunning_moves()._dunning_mark()
        return partials

    def unlink(self):
        moves = self._get_dunning_moves()
        res = super().unlink()
        moves.exists()._dunning_mark()
        return res

    def _get_dunning_moves(self):
        return (self.debit_move_id | self.credit_move_id).move_id
