from odoo import fields, models


class DunningLetterProof(models.TransientModel):
    """What the post office gave for some letters: numbers, receipts, days."""

    _name = "dunning.letter.proof"
    _description = "Registered Letters"

    line_ids = fields.One2many(
        comodel_name="dunning.letter.proof.line",
        inverse_name="proof_id",
        string="Letters",
    )

    def action_confirm(self):
        """Write it down on the letters, with a note on each invoice."""
        self.ensure_one()
        letters = self.line_ids.reminder_id
        letters._check_action_access()
        letters._check_registrable()
        for line in self.line_ids:
            line.reminder_id.sudo()._note_delivery(
                line._get_changes(), line._get_files()
            )
        return {"type": "ir.actions.act_window_close"}
