"""Bounced: a mail came back, and somebody asks the customer for another address."""

from markupsafe import Markup

from odoo import api, fields, models
from odoo.tools import email_normalize, format_date
from odoo.tools.mail import email_split_and_format_normalize

from .res_partner import BILLING

#: What a mail server has taken; what came back since; both name the same addresses.
ARRIVED = ("sent", "doubtful")


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _register_bounce(self, failures):
        before = self.filtered(lambda reminder: reminder.state == "bounced")
        res = super()._register_bounce(failures)
        bounced = self.filtered(lambda reminder: reminder.state == "bounced")
        (bounced - before)._ask_for_address()
        return res

    def _ask_for_address(self):
        """Once for each customer, however many mails come back: who has asked for one
        address has asked.
        """
        for reminders in self.grouped("partner_id").values():
            reminder = reminders[:1]
            user = reminder._get_responsible().filtered("active")
            if not user or not reminder.partner_id:
                continue
            customer = reminder.partner_id.with_context(lang=user.lang)
            todo = "mail.mail_activity_data_todo"
            summary = customer.env._("Ask for another e-mail address")
            same = [("summary", "=", summary)]
            if customer.activity_search([todo], user.id, same):
                continue
            quietly = reminder.sequence_id._get_telling_context(user)
            customer.with_context(**quietly).activity_schedule(
                todo,
                user_id=user.id,
                summary=summary,
                note=reminder.with_context(lang=user.lang)._get_asking_note(),
            )

    def _get_asking_note(self):
        """What came back, and what to do then."""
        self.ensure_one()
        _first, _break, reason = (self.failure_reason or "").partition("\n")
        text = self.env._(
            "The reminder of %(invoice)s did not reach %(address)s.",
            invoice=", ".join(self.line_ids.mapped("move_name")),
            address=self.email_to or "",
        )
        todo = self.env._(
            "Ask the customer for another address. On the reminder, press “Other "
            "Address” to send it there, and to keep it for the next ones."
        )
        return Markup("<br/>").join(filter(None, (text, reason, todo)))

    def action_other_address(self):
        """Write a reminder that came back again, to an address that is typed (G12).

        As any that is sent by hand: with what is open today, seen before it leaves.

        :raise UserError: when nothing is left to remind of
        """
        self.ensure_one()
        self._check_action_access()
        action = self._get_current_lines().move_id.action_dunning_compose()
        composer = self.env[action["res_model"]].browse(action["res_id"])
        composer.write(
            {
                "email_to": ", ".join(self._get_good_addresses(composer.email_to)),
                "keep_contact": composer.can_keep_contacts,
            }
        )
        return action

    def _get_good_addresses(self, emails):
        """Those of some addresses from which it has not come back."""
        reason = (self.failure_reason or "").lower()
        return [
            email
            for email in email_split_and_format_normalize(emails or "")
            if email_normalize(email) not in reason
        ]


class ResPartner(models.Model):
    _inherit = "res.partner"

    dunning_bounced = fields.Text(
        string="Came Back",
        compute="_compute_dunning_bounced",
        groups=BILLING,
        help="Addresses from which the last reminder came back.",
    )

    @api.depends_context("company", "lang")
    def _compute_dunning_bounced(self):
        """Until one arrives there again: the mail box may only have been full."""
        customers = self.commercial_partner_id
        groups = self.env["dunning.reminder"]._read_group(
            [
                ("company_id", "=", self.env.company.id),
                ("partner_id", "in", customers.ids),
                ("channel", "=", "email"),
                ("state", "in", (*ARRIVED, "bounced")),
                ("email_to", "!=", False),  # not erased since
            ],
            ["partner_id", "email_to", "state"],
            ["id:max", "date:max"],
        )
        arrived, bounced = {}, {}
        for customer, email, state, *last in groups:
            newest = bounced if state == "bounced" else arrived
            newest[customer, email] = max(last, newest.get((customer, email), last))
        for partner in self:
            customer = partner.commercial_partner_id
            partner.dunning_bounced = "\n".join(
                self.env._(
                    "%(address)s: on %(date)s",
                    address=email,
                    date=format_date(self.env, day),
                )
                for (whose, email), (last_id, day) in bounced.items()
                if whose == customer and last_id > arrived.get((whose, email), [0])[0]
            )
