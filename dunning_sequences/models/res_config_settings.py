from odoo import fields, models


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    dunning_sequence_id = fields.Many2one(
        related="company_id.dunning_sequence_id", readonly=False
    )
    dunning_from_date = fields.Date(
        related="company_id.dunning_from_date", readonly=False
    )
    dunning_day_limit = fields.Integer(
        related="company_id.dunning_day_limit", readonly=False
    )
    dunning_day_factor = fields.Float(
        related="company_id.dunning_day_factor", readonly=False
    )
    dunning_statement_days = fields.Integer(
        related="company_id.dunning_statement_days", readonly=False
    )
    dunning_recap = fields.Boolean(related="company_id.dunning_recap", readonly=False)
    dunning_recap_day = fields.Selection(
        related="company_id.dunning_recap_day", readonly=False
    )
    dunning_recap_user_ids = fields.Many2many(
        related="company_id.dunning_recap_user_ids", readonly=False
    )
    dunning_tz = fields.Selection(related="company_id.dunning_tz", readonly=False)
    dunning_hour_from = fields.Float(
        related="company_id.dunning_hour_from", readonly=False
    )
    dunning_hour_to = fields.Float(related="company_id.dunning_hour_to", readonly=False)
