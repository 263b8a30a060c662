from datetime import UTC
from zoneinfo import ZoneInfo

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from odoo.addons.base.models.res_partner import _tz_get

#: Who sees the settings: everybody may read his company by RPC, customers in the
#: portal too.
INTERNAL = "base.group_user"

#: Changes of a company that the enrollments of its invoices must follow.
MARKING_FIELDS = {
    "dunning_sequence_id",
    "dunning_from_date",
    "dunning_statement_days",
    "dunning_tz",
}


class ResCompany(models.Model):
    _inherit = "res.company"

    dunning_sequence_ids = fields.One2many(
        groups=INTERNAL, comodel_name="dunning.sequence", inverse_name="company_id"
    )
    dunning_sequence_id = fields.Many2one(
        groups=INTERNAL,
        comodel_name="dunning.sequence",
        string="Default Reminder Sequence",
        domain="[('company_id', 'parent_of', id)]",
        help="Followed by all customers who have no sequence of their own. Empty: "
        "only those are reminded to whom you give a sequence. A branch without one "
        "follows its parent's.",
    )
    dunning_since = fields.Date(
        groups=INTERNAL,
        readonly=True,
        help="Day on which the default sequence was chosen.",
    )
    dunning_from_date = fields.Date(
        groups=INTERNAL,
        string="First Invoice Date",
        help="Invoices of an earlier date are left out. Only for customers who "
        "follow the default sequence. Empty: all open invoices.",
    )
    dunning_tz = fields.Selection(
        groups=INTERNAL,
        selection=_tz_get,
        string="Reminder Time Zone",
        help="Decides which day it is. Empty: the one of the working hours.",
    )
    dunning_hour_from = fields.Float(
        groups=INTERNAL,
        string="Reminders Leave From",
        default=8.0,
        help="Nothing leaves by itself before this hour.",
    )
    dunning_hour_to = fields.Float(
        groups=INTERNAL,
        string="Reminders Leave Until",
        default=18.0,
        help="Nothing leaves by itself from this hour on.",
    )

    @api.constrains("dunning_hour_from", "dunning_hour_to")
    def _check_dunning_hours(self):
        for company in self:
            if not 0 <= company.dunning_hour_from < company.dunning_hour_to <= 24:
                raise ValidationError(
                    self.env._(
                        "Reminders must leave between two hours of one day, such as "
                        "8:00 and 18:00."
                    )
                )

    @api.constrains("dunning_sequence_id")
    def _check_dunning_sequence(self):
        for company in self:
            owner = company.dunning_sequence_id.company_id
            if owner and owner not in company.parent_ids:
                raise ValidationError(
                    self.env._(
                        "The sequence “%(sequence)s” belongs to another company.",
                        sequence=company.dunning_sequence_id.name,
                    )
                )

    @api.model_create_multi
    def create(self, vals_list):
        companies = super().create(vals_list)
        self.env["dunning.sequence"].sudo()._copy_ready_made(companies)
        return companies

    def write(self, vals):
        if "dunning_sequence_id" in vals:
            changed = self.filtered(
                lambda c: c.dunning_sequence_id.id != vals["dunning_sequence_id"]
            )
            if changed:
                vals = {"dunning_since": self[:1]._dunning_today(), **vals}
        res = super().write(vals)
        if MARKING_FIELDS & vals.keys():
            branches = self.search([("id", "child_of", self.ids)])
            self.env["dunning.mark"]._mark("company", branches.ids)
        return res

    def _get_dunning_lang(self):
        """The language in which reasons and names are kept."""
        self.ensure_one()
        installed = {code for code, _name in self.env["res.lang"].get_installed()}
        lang = self.partner_id.lang
        return lang if lang in installed else "en_US"

    def _dunning_now(self, now=None):
        """The company's clock.

        :param now: UTC datetime, default: now
        """
        self.ensure_one()
        tz = self.sudo().dunning_tz or self.sudo().resource_calendar_id.tz or "UTC"
        moment = now or fields.Datetime.now()
        return moment.replace(tzinfo=UTC).astimezone(ZoneInfo(tz))

    def _dunning_today(self, now=None):
        """The company's day: it decides what is due, not the server's day."""
        return self._dunning_now(now).date()

    def _is_dunning_time(self, now=None):
        """Is the company inside its hours?"""
        clock = self._dunning_now(now)
        hour = clock.hour + clock.minute / 60
        return self.dunning_hour_from <= hour < self.dunning_hour_to
