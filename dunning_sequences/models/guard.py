"""Guard: may the reminders that are due leave today, or must they wait?

What the database knows of an instalment alone is in `reconcile`; here is what is
asked about the customer, and only for those that are due. Every "no" is a reason,
with a date where there is one.
"""

from collections import defaultdict
from datetime import timedelta

from odoo import api, models
from odoo.tools import SQL

from .reconcile import Kept

#: Reminders in these states have reached the customer, or are about to.
REACHED = ("queued", "sent", "doubtful")


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def _is_due(self, row):
        decision = row["decision"]
        return (
            decision
            and decision["state"] == "running"
            and decision["next_date"] <= row["today"]
        )

    @api.model
    def _guard_due(self, rows):
        """Hold those due instalments whose customer should hear nothing today."""
        due = [row for row in rows if self._is_due(row)]
        if not due:
            return
        sequences = self.env["dunning.sequence"].browse(
            {row["decision"]["sequence_id"] for row in due}
        )
        sequences = {sequence.id: Kept(sequence) for sequence in sequences}
        amounts = self._get_due_amounts(due, sequences.values())
        contacts = self._get_last_contacts(due, sequences.values())
        recipients = self._get_recipients(due)
        self._read_statements(due)
        self._note_credits(due)
        for row in due:
            verdict = self._get_verdict(
                row,
                sequences[row["decision"]["sequence_id"]],
                amounts[row["move_company_id"], row["commercial_partner_id"]],
                contacts.get((row["move_company_id"], row["commercial_partner_id"])),
                recipients[row["move_id"]],
            )
            if verdict:
                state, reason, until = verdict
                row["decision"].update(
                    state=state, hold_reason=reason, hold_until=until
                )

    @api.model
    def _get_verdict(self, row, sequence, amount, contact, recipients):
        """Return (state, reason, until) to hold a due instalment, None to go on.

        Hook: override to ask more of the customer.

        :param amount: what the customer owes and is due, in company currency
        :param contact: day of the last reminder to him, None if there is none
        """
        if sequence.min_amount and max(amount, row["residual"]) < sequence.min_amount:
            return "held", "min_amount", None
        step = self.env["dunning.sequence.step"].browse(row["decision"]["next_step_id"])
        if row["old_statements"] and step.mode == "auto":
            return "held", "statements", None
        if row["held_by_credits"]:
            return "held", "credits", None
        days = sequence.min_contact_days
        if days and contact and contact < row["today"] and not self._is_notice(row):
            until = contact + timedelta(days=days - 1)
            if row["today"] <= until:
                return "held", "contact_delay", until
        if not recipients["to"] and step.channel == "email":
            return "todo", "no_recipient", None
        if step.channel == "letter" and not self._has_postal_address(row):
            return "todo", "no_address", None
        return None

    @api.model
    def _has_postal_address(self, row):
        """Can a letter arrive? A street or a box, and a place."""
        move = self.env["account.move"].browse(row["move_id"])
        address = move.sudo()._get_dunning_postal_partner()
        return bool((address.street or address.street2) and address.city)

    @api.model
    def _read_statements(self, rows):
        """Note on each row whether its company's bank statements are too old."""
        days = {(row["move_company_id"], row["today"]) for row in rows}
        old = {
            (company_id, today): self.env["res.company"]
            .browse(company_id)
            .sudo()
            ._are_dunning_statements_old(today)
            for company_id, today in days
        }
        for row in rows:
            row["old_statements"] = old[row["move_company_id"], row["today"]]

    @api.model
    def _is_notice(self, row):
        """A courtesy notice, before the due date, neither waits nor counts."""
        return row["due_date"] > row["today"]

    @api.model
    def _get_recipients(self, rows):
        moves = self.env["account.move"].browse({row["move_id"] for row in rows})
        return moves._get_dunning_recipients()

    @api.model
    def _get_due_amounts(self, rows, sequences):
        """Return {(company id, customer id): residual due, in company currency}."""
        amounts = defaultdict(float)
        if not any(sequence.min_amount for sequence in sequences):
            return amounts
        for company_id, today, partner_ids in self._get_customers(rows):
            due = self._read_due_amounts(company_id, today, partner_ids)
            for partner_id, amount in due.items():
                amounts[company_id, partner_id] = amount
        return amounts

    @api.model
    def _read_due_amounts(self, company_id, today, partner_ids):
        """Return {customer id: residual due, in company currency}."""
        rows = self.env.execute_query(
            SQL(
                """
                SELECT move.commercial_partner_id, SUM(line.amount_residual)
                  FROM account_move_line line
                  JOIN account_move move ON move.id = line.move_id
                 WHERE move.company_id = %s AND move.state = 'posted'
                   AND move.move_type IN ('out_invoice', 'out_receipt')
                   AND move.payment_state IN ('not_paid', 'partial')
                   AND move.commercial_partner_id = ANY(%s)
                   AND line.display_type = 'payment_term'
                   AND COALESCE(line.date_maturity, move.invoice_date_due,
                                move.invoice_date, move.date) <= %s
              GROUP BY 1
                """,
                company_id,
                list(partner_ids),
                today,
            )
        )
        return {partner_id: float(amount) for partner_id, amount in rows}

    @api.model
    def _get_last_contacts(self, rows, sequences):
        """Return {(company id, customer id): day of the last reminder to him}."""
        contacts = {}
        if not any(sequence.min_contact_days for sequence in sequences):
            return contacts
        for company_id, _today, partner_ids in self._get_customers(rows):
            for partner_id, day in self.env.execute_query(
                SQL(
                    """
                    SELECT partner_id, MAX(COALESCE(sent_on, date))
                      FROM dunning_reminder
                     WHERE company_id = %s AND partner_id = ANY(%s)
                       AND origin IN ('auto', 'approved') AND state = ANY(%s)
                       AND NOT before_due
                  GROUP BY partner_id
                    """,
                    company_id,
                    partner_ids,
                    list(REACHED),
                )
            ):
                contacts[company_id, partner_id] = day
        return contacts

    @api.model
    def _get_customers(self, rows):
        """Yield (company id, its today, its customers' ids)."""
        customers = defaultdict(set)
        for row in rows:
            company = (row["move_company_id"], row["today"])
            customers[company].add(row["commercial_partner_id"])
        for (company_id, today), partner_ids in customers.items():
            yield company_id, today, list(partner_ids)
