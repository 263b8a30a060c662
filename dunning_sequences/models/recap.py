"""Recap: which company sends one, on which day, and who reads it."""

from odoo import fields, models

from .res_company import INTERNAL


class ResCompany(models.Model):
    _inherit = "res.company"

    dunning_recap = fields.Boolean(
        groups=INTERNAL,
        string="Weekly Recap",
        default=True,
        help="A mail a week while a sequence is running: what is open and overdue, "
        "what waits for a person, what comes next.",
    )
    dunning_recap_day = fields.Selection(
        groups=INTERNAL,
        selection="_selection_dunning_recap_day",
        string="Recap on",
        default="0",
        required=True,
        help="After a day without scheduled actions it comes late, but in that week.",
    )
    dunning_recap_user_ids = fields.Many2many(
        groups=INTERNAL,
        comodel_name="res.users",
        relation="dunning_recap_user_rel",
        column1="company_id",
        column2="user_id",
        string="Recap for",
        domain="[('share', '=', False)]",
        help="Whoever of them may see invoices of the company gets it, in his "
        "language. Empty: the responsibles of the running sequences.",
    )

    def _selection_dunning_recap_day(self):
        words = {
            "0": self.env._("Monday"),
            "1": self.env._("Tuesday"),
            "2": self.env._("Wednesday"),
            "3": self.env._("Thursday"),
            "4": self.env._("Friday"),
            "5": self.env._("Saturday"),
            "6": self.env._("Sunday"),
        }
        return list(words.items())

    def _get_dunning_recap_users(self, responsibles):
        """Who reads the recap of the company. Hook: override to add others.

        :param responsibles: of the sequences that run for it
        """
        self.ensure_one()
        chosen = self.dunning_recap_user_ids or responsibles
        return chosen.filtered(self._may_read_dunning_recap)

    def _may_read_dunning_recap(self, user):
        return (
            user.active
            and user.email
            and self in user.company_ids
            and (
                user.has_group("account.group_account_invoice")
                or user.has_group("account.group_account_readonly")
            )
        )
