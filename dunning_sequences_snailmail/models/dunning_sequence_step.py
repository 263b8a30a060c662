from odoo import fields, models


class DunningSequenceStep(models.Model):
    _inherit = "dunning.sequence.step"

    by_post_service = fields.Boolean(
        string="By Odoo's Post Service",
        help="The letter is printed and posted by Odoo's own service, if the company's "
        "settings allow it: each costs credits. Registered letters wait to be printed.",
    )
