from odoo import api, models

from .dunning_reminder import STATES_PENDING


class DunningSequence(models.Model):
    """What a sequence leaves behind when it is deleted for good (P16)."""

    _inherit = "dunning.sequence"

    def unlink(self):
        """Nobody stays tied to nothing: customers and invoices go back to what the
        company does by default, and what waits for an approval is cancelled.
        """
        self.check_access("unlink")
        waiting, customers = self._get_waiting(), self._get_all_customers()
        moves = self._get_own_moves()
        reason = self.env._("The sequence was deleted.")
        res = super().unlink()
        released = {"dunning_policy": False, "dunning_sequence_id": False}
        for partners in customers:
            partners.write(released)
        if moves:
            moves.write(released)
        if waiting:
            waiting._cancel(reason)
        return res

    def _get_waiting(self):
        """Reminders that have not left yet, for sure."""
        waiting = (
            self.env["dunning.reminder"]
            .sudo()
            .search(
                [
                    ("sequence_id", "in", self.ids),
                    ("state", "in", (*STATES_PENDING, "queued")),
                ]
            )
        )
        return waiting - waiting._filter_handed_over()

    def _get_own_moves(self):
        """Invoices to which somebody gave one of these sequences."""
        return (
            self.env["account.move"]
            .sudo()
            .search([("dunning_sequence_id", "in", self.ids)], order="id")
        )

    def _get_all_customers(self):
        """Return the customers with these sequences, company by company.

        A branch's customers can follow the sequence of its parent.
        """
        companies = self.company_id.sudo()
        branches = companies.search([("id", "child_of", companies.ids)])
        Partner = self.env["res.partner"].sudo().with_context(active_test=False)
        found = (
            Partner.with_company(company).search(
                [("dunning_sequence_id", "in", self.ids)], order="id"
            )
            for company in branches
        )
        return [partners for partners in found if partners]

    @api.model
    def _count_customers(self, customers):
        """Contacts carry their company's sequence: they are no customers of it."""
        return sum(
            len(partners.filtered(lambda p: p.commercial_partner_id == p))
            for partners in customers
        )
