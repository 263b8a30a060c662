from odoo import fields, models


class DunningPlanLine(models.TransientModel):
    _name = "dunning.plan.line"
    _description = "Payment of a Payment Plan"
    _order = "date, id"

    plan_id = fields.Many2one(
        comodel_name="dunning.plan", required=True, ondelete="cascade"
    )
    date = fields.Date(required=True)
    currency_id = fields.Many2one(related="plan_id.currency_id")
    amount = fields.Monetary()
