from odoo import fields, models


class DunningLetterProofLine(models.TransientModel):
    _name = "dunning.letter.proof.line"
    _description = "Registered Letter"
    _order = "id"

    proof_id = fields.Many2one(
        comodel_name="dunning.letter.proof", required=True, ondelete="cascade"
    )
    reminder_id = fields.Many2one(
        comodel_name="dunning.reminder",
        string="Letter",
        required=True,
        readonly=True,
        ondelete="cascade",
    )
    partner_id = fields.Many2one(related="reminder_id.partner_id", string="Customer")
    number = fields.Char()
    receipt = fields.Binary(string="Proof of Posting", attachment=False)
    receipt_name = fields.Char()
    received_on = fields.Date()
    return_receipt = fields.Binary(attachment=False)
    return_receipt_name = fields.Char()

    def _get_files(self):
        """Return [(name, content as base64)] of the files that were chosen."""
        self.ensure_one()
        line = self.with_context(bin_size=False)
        files = [
            (line.receipt_name or self.env._("Proof of posting"), line.receipt),
            (
                line.return_receipt_name or self.env._("Return receipt"),
                line.return_receipt,
            ),
        ]
        return [(name, content) for name, content in files if content]
