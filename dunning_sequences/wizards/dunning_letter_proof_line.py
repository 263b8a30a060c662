from odoo import fields, models

from ..tools.one_line import one_line


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
    number_before = fields.Char(readonly=True)
    receipt = fields.Binary(string="Proof of Posting", attachment=False)
    receipt_name = fields.Char()
    received_on = fields.Date()
    received_before = fields.Date(readonly=True)
    return_receipt = fields.Binary(attachment=False)
    return_receipt_name = fields.Char()

    def _get_changes(self):
        """What was typed here: a colleague may have entered the rest meanwhile."""
        self.ensure_one()
        typed = {
            "registered_number": one_line(self.number or "") or False,
            "received_on": self.received_on,
        }
        before = (self.number_before, self.received_before)
        return {
            name: value
            for (name, value), shown in zip(typed.items(), before, strict=True)
            if value != shown
        }

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
