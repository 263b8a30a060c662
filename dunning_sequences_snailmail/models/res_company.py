from odoo import fields, models

from odoo.addons.dunning_sequences.models.res_company import INTERNAL


class ResCompany(models.Model):
    _inherit = "res.company"

    dunning_snailmail = fields.Boolean(
        groups=INTERNAL,
        string="Post Letters by Odoo's Service",
        help="Letters of the steps that say so are printed and posted by Odoo's own "
        "service. Each of them costs credits.",
    )


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    dunning_snailmail = fields.Boolean(
        related="company_id.dunning_snailmail", readonly=False
    )
