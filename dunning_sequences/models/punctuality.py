"""Punctuality: how well a customer keeps what he promises, on his form."""

from odoo import api, fields, models

from .res_partner import BILLING


class ResPartner(models.Model):
    _inherit = "res.partner"

    dunning_punctuality = fields.Char(
        string="Keeps Promises",
        compute="_compute_dunning_punctuality",
        groups=BILLING,
        help="Of the promises to pay that are over: how many were kept, and how long "
        "after the promised day those were paid.",
    )

    @api.depends_context("company", "lang")
    def _compute_dunning_punctuality(self):
        customers = self.commercial_partner_id
        groups = self.env["dunning.hold"]._read_group(
            [
                ("company_id", "=", self.env.company.id),
                ("customer_id", "in", customers.ids),
                ("kind", "=", "promise"),
                ("outcome", "in", ("kept", "broken")),
            ],
            ["customer_id", "outcome"],
            ["__count", "days_late:avg"],
        )
        found = {(customer, outcome): figures for customer, outcome, *figures in groups}
        for partner in self:
            customer = partner.commercial_partner_id
            kept, late = found.get((customer, "kept"), (0, 0))
            broken, _late = found.get((customer, "broken"), (0, 0))
            partner.dunning_punctuality = self._get_dunning_punctuality(
                kept, kept + broken, round(late or 0)
            )

    @api.model
    def _get_dunning_punctuality(self, kept, promises, days):
        """Say it in a line, nothing if he never promised anything.

        :param days: after the promised one, on average of those that were kept
        """
        if not promises:
            return False
        words = {"kept": kept, "promises": promises, "days": days}
        if not kept or not days:
            return self.env._("%(kept)s of %(promises)s promises kept", **words)
        if days == 1:
            return self.env._(
                "%(kept)s of %(promises)s promises kept, on average 1 day late", **words
            )
        return self.env._(
            "%(kept)s of %(promises)s promises kept, on average %(days)s days late",
            **words,
        )
