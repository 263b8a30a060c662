from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import plaintext2html


class DunningClaimWaiver(models.Model):
    """Somebody's decision to claim nothing for the late payment of an invoice.

    Customers are told no more of the claim. It can be taken back; what was decided, by
    whom and when, stays.
    """

    _name = "dunning.claim.waiver"
    _description = "Late-Payment Claim Waiver"
    _order = "id desc"
    _rec_name = "reason"

    move_id = fields.Many2one(
        comodel_name="account.move",
        string="Invoice",
        required=True,
        readonly=True,
        index=True,
        ondelete="cascade",
    )
    company_id = fields.Many2one(related="move_id.company_id", store=True)
    reason = fields.Char(required=True)
    user_id = fields.Many2one(comodel_name="res.users", string="By", readonly=True)
    waived_on = fields.Date(readonly=True)
    undone_on = fields.Date(readonly=True)
    undone_by_id = fields.Many2one(comodel_name="res.users", readonly=True)

    _once = models.UniqueIndex(
        "(move_id) WHERE undone_on IS NULL",
        "The claim of this invoice was waived before.",
    )

    @api.model_create_multi
    def create(self, vals_list):
        """In one's own name, and of today, whatever is asked for."""
        kept = {"move_id", "reason"}
        vals_list = [
            {
                **{name: value for name, value in vals.items() if name in kept},
                "user_id": self.env.uid,
                "waived_on": self._get_day(vals.get("move_id")),
            }
            for vals in vals_list
        ]
        waivers = super().create(vals_list)
        for waiver in waivers:
            waiver._note(
                self.env._("Late-payment claim waived: %(why)s", why=waiver.reason)
            )
        waivers.move_id._dunning_mark()
        return waivers

    @api.model
    def _get_day(self, move_id):
        move = self.env["account.move"].browse(move_id)
        return (move.company_id or self.env.company)._dunning_today()

    @api.constrains("move_id")
    def _check_move(self):
        for waiver in self:
            if not waiver.move_id.sudo()._is_claimable():
                raise UserError(
                    self.env._("Only the claim of a customer's invoice can be waived.")
                )

    def _undo(self):
        for waiver in self:
            waiver.sudo().write(
                {
                    "undone_on": waiver._get_day(waiver.move_id.id),
                    "undone_by_id": self.env.uid,
                }
            )
            waiver._note(self.env._("Late-payment claim no longer waived."))
        self.move_id._dunning_mark()

    def _note(self, text):
        """On the invoice, for ourselves."""
        self.move_id.message_post(
            body=plaintext2html(text), subtype_xmlid="mail.mt_note"
        )
