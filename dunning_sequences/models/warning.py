"""Warning: before something more is sold to a customer whose reminders are over."""

from odoo import api, fields, models
from odoo.tools import SQL, formatLang
from odoo.tools.safe_eval import safe_eval

from .account_move import BILLING


class ResPartner(models.Model):
    _inherit = "res.partner"

    def _get_dunning_warnings(self, company):
        """Return {customer id: text} of those whom the last step has not made pay.

        With one query, however many they are.
        """
        customers = self.commercial_partner_id._origin
        if not customers:
            return {}
        Enrollment = self.env["dunning.enrollment"].sudo()
        Enrollment.flush_model()
        rows = self.env.execute_query(self._get_dunning_at_end_sql(customers, company))
        return {
            customer.id: customer._get_dunning_warning(company, count, amount)
            for partner_id, count, amount in rows
            for customer in customers.browse(partner_id)
        }

    @api.model
    def _get_dunning_at_end_sql(self, customers, company):
        """Of each customer: invoices that come to the last step, or are past it.

        At the last step is who has been reminded before, and of whom only it is left.
        """
        return SQL(
            """
            SELECT enrollment.partner_id, COUNT(DISTINCT move.id),
                   SUM(line.amount_residual)
              FROM dunning_enrollment enrollment
              JOIN account_move move ON move.id = enrollment.move_id
              JOIN account_move_line line
                ON line.move_id = move.id AND line.display_type = 'payment_term'
               AND COALESCE(line.date_maturity, move.invoice_date_due,
                            move.invoice_date, move.date) = enrollment.due_date
             WHERE enrollment.partner_id = ANY(%(customers)s)
               AND enrollment.company_id = %(company)s
               AND enrollment.state != 'stopped'
               AND enrollment.hold_reason IS DISTINCT FROM 'older'
               AND move.payment_state IN ('not_paid', 'partial')
               AND (enrollment.next_step_id IS NULL
                 OR enrollment.hold_reason = 'collection'
                 OR enrollment.next_step_id = (
                    SELECT step.id FROM dunning_sequence_step step
                     WHERE step.sequence_id = enrollment.sequence_id
                  ORDER BY step.sequence DESC, step.id DESC LIMIT 1)
                AND EXISTS (
                    SELECT 1 FROM dunning_reminder_line said
                     WHERE said.move_id = move.id AND said.counts
                       AND said.due_date = enrollment.due_date))
          GROUP BY enrollment.partner_id
            """,
            customers=customers.ids,
            company=company.id,
        )

    def _get_dunning_warning(self, company, count, amount):
        """What is said to who writes a new invoice or quotation. Hook."""
        self.ensure_one()
        unpaid = formatLang(self.env, amount, currency_obj=company.currency_id)
        if count == 1:
            return self.env._(
                "%(customer)s was reminded up to the last step and has not paid: "
                "1 invoice, %(amount)s.",
                customer=self.name,
                amount=unpaid,
            )
        return self.env._(
            "%(customer)s was reminded up to the last step and has not paid: "
            "%(count)s invoices, %(amount)s.",
            customer=self.name,
            count=count,
            amount=unpaid,
        )

    def action_view_dunning_overdue(self):
        """Open the overdue invoices of these customers."""
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dunning_sequences.account_move_action_dunning_overdue"
        )
        action["domain"] = [
            ("commercial_partner_id", "in", self.commercial_partner_id.ids),
            *safe_eval(action["domain"]),
        ]
        return action


class AccountMove(models.Model):
    _inherit = "account.move"

    dunning_warning = fields.Char(
        groups=BILLING,
        compute="_compute_dunning_warning",
        help="On a draft, when the customer was reminded up to the last step.",
    )

    @api.depends("partner_id", "company_id", "state", "move_type")
    @api.depends_context("lang")
    def _compute_dunning_warning(self):
        """Of drafts only: nothing is asked for when a posted invoice is opened."""
        self.dunning_warning = False
        drafts = self._filter_dunning_sales().filtered(
            lambda move: move.state == "draft" and move.partner_id
        )
        for company, moves in drafts.grouped("company_id").items():
            warnings = moves.partner_id._get_dunning_warnings(company)
            for move in moves:
                customer = move.partner_id.commercial_partner_id._origin
                move.dunning_warning = warnings.get(customer.id, False)

    def action_view_dunning_overdue(self):
        """Open the overdue invoices of the customer."""
        return self.partner_id.action_view_dunning_overdue()
