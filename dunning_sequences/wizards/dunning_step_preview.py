from odoo import fields, models


class DunningStepPreview(models.TransientModel):
    """What a step says, with a real invoice's figures. Nothing is sent."""

    _name = "dunning.step.preview"
    _description = "Preview of a Reminder"

    step_id = fields.Many2one(
        comodel_name="dunning.sequence.step", readonly=True, ondelete="cascade"
    )
    invoice_name = fields.Char(string="Figures of", readonly=True)
    partner_name = fields.Char(string="Customer", readonly=True)
    subject = fields.Char(readonly=True)
    body = fields.Html(readonly=True, sanitize_style=True)

    def action_send_test(self):
        return self.step_id.action_send_test()
