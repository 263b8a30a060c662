"""Collection: what is left when all steps are done, and who takes it from there.

Handed over, an invoice is held: nothing more of us reaches the customer, not by hand
either, until somebody takes it back.
"""

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    to_collect = fields.Boolean(
        string="For Collection",
        compute="_compute_to_collect",
        search="_search_to_collect",
        help="All steps are done, it is still unpaid, and nothing holds it.",
    )
    days_late = fields.Integer(compute="_compute_days_late")
    last_reminder_date = fields.Date(
        string="Last Reminder On", compute="_compute_last_reminder_date"
    )

    def _compute_to_collect(self):
        found = self.search([("id", "in", self.ids), ("to_collect", "=", True)])
        for enrollment in self:
            enrollment.to_collect = enrollment in found

    @api.model
    def _search_to_collect(self, operator, value):
        if operator != "in":
            return NotImplemented
        domain = self._get_collection_domain()
        return domain if True in value else ~domain

    @api.model
    def _get_collection_domain(self):
        """What is for collection. Hook: override to leave out, or add, some."""
        today = self.env.company._dunning_today()
        return (
            Domain("state", "=", "done")
            & Domain("move_id.payment_state", "in", ("not_paid", "partial"))
            & Domain.custom(
                to_sql=lambda model, alias, _query: self._get_unheld_sql(alias, today)
            )
        )

    @api.model
    def _get_unheld_sql(self, alias, today):
        """Nothing holds the instalment ``alias``: what is done shows no hold itself."""
        return SQL(
            """
            NOT EXISTS (
                SELECT 1 FROM dunning_hold hold
                 WHERE hold.closed_on IS NULL AND hold.since <= %(today)s
                   AND (hold.last_day IS NULL OR hold.last_day >= %(today)s)
                   AND (hold.id IN (
                            SELECT rel.hold_id FROM dunning_hold_move_rel rel
                             WHERE rel.move_id = %(move)s)
                     OR hold.partner_id = %(partner)s
                    AND EXISTS (
                        SELECT 1 FROM res_company own, res_company above
                         WHERE own.id = %(company)s AND above.id = hold.company_id
                           AND own.parent_path LIKE above.parent_path || '%%')))
            """,
            today=today,
            move=SQL.identifier(alias, "move_id"),
            partner=SQL.identifier(alias, "partner_id"),
            company=SQL.identifier(alias, "company_id"),
        )

    @api.depends("due_date")
    def _compute_days_late(self):
        for company, enrollments in self.grouped("company_id").items():
            today = company._dunning_today()
            for enrollment in enrollments:
                enrollment.days_late = max((today - enrollment.due_date).days, 0)

    @api.depends("reminder_id")
    def _compute_last_reminder_date(self):
        for enrollment in self:
            reminder = enrollment.reminder_id
            enrollment.last_reminder_date = reminder.sent_on or reminder.date

    # ------------------------------------------------------------------------
    # ACTIONS
    # ------------------------------------------------------------------------

    def action_export_collection(self):
        """One PDF of these instalments, by customer: what a collector needs."""
        self._check_collection_access()
        report = self.env.ref("dunning_sequences.action_report_dunning_collection")
        return report.report_action(self, config=False)

    def action_hand_over(self):
        """Somebody else collects these invoices from now on: nothing more is sent."""
        self._check_collection_access()
        self._take_by_hand()
        handed = self.filtered(
            lambda e: e.state != "stopped" and e.hold_reason != "collection"
        )
        if not handed:
            raise UserError(
                self.env._("What is paid, or was handed over before, is not again.")
            )
        groups = handed.grouped(lambda e: (e.company_id, e.partner_id))
        self.env["dunning.hold"].create(
            [group._prepare_collection_vals() for group in groups.values()]
        )
        handed.move_id._dunning_log(self.env._("Handed to collection."))
        return True

    def action_take_back(self):
        """We collect these invoices again: they go on where they were."""
        self._check_collection_access()
        moves = self.move_id
        holds = moves.dunning_hold_ids._filter_open("collection")
        if not holds:
            raise UserError(self.env._("None of these was handed to collection."))
        moves &= holds.move_ids
        holds._split_for(moves).action_close()
        moves._dunning_log(self.env._("Taken back from collection."))
        return True

    def _check_collection_access(self):
        """Who may create a hold may hand over. See `dunning.reminder`, too."""
        self.check_access("read")
        self.env["dunning.hold"].check_access("create")

    def _prepare_collection_vals(self):
        """The hold of the invoices of one customer. Hook."""
        currency = self.currency_id
        self._prefetch_amounts()
        amount = sum(enrollment._get_amount() for enrollment in self)
        return {
            "kind": "collection",
            "move_ids": [(6, 0, self.move_id.ids)],
            "company_id": self.company_id.id,
            "amount": amount if len(currency) == 1 else 0,
            "currency_id": currency[:1].id,
        }


class AccountMove(models.Model):
    _inherit = "account.move"

    def _dunning_log(self, text):
        """Note who did it, on each invoice at once."""
        self._message_log_batch(bodies=dict.fromkeys(self.ids, text))
