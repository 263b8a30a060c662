"""Information: what else is overdue, in the table of a grouped reminder.

It does not advance: each instalment has its own steps. What is held for the customer's
sake (a dispute, a promise) stands apart, and is never in a sum.
"""

from odoo import api, fields, models

#: Holds that the customer knows of, or that are about him.
HOLDS_APART = ("dispute", "pause", "promise", "reply")

#: Nothing is said of these: they are being paid, or nobody follows them.
REASONS_SILENT = (
    "blocked",
    "in_payment",
    "no_followup",
    "payment_method",
    "transaction",
)


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    information_ids = fields.Many2many(
        comodel_name="dunning.enrollment",
        string="Also Overdue",
        compute="_compute_information_ids",
        help="Other overdue instalments of the customer that the table shows.",
    )

    @api.depends("line_ids.dropped", "partner_id", "date", "email_to")
    def _compute_information_ids(self):
        """Only to those who get the reminders of the other invoices, too."""
        informing = self.filtered(lambda reminder: reminder._is_informing())
        found = informing._search_information().grouped(
            lambda enrollment: (enrollment.company_id, enrollment.partner_id)
        )
        recipients = self.env["dunning.enrollment"].union(*found.values())
        recipients = recipients.move_id._get_dunning_recipients()
        for reminder in self:
            others = reminder.browse().information_ids
            if reminder in informing:
                others = found.get((reminder.company_id, reminder.partner_id), others)
            reminder.information_ids = others.filtered(
                lambda enrollment, reminder=reminder: reminder._is_informing_about(
                    enrollment, recipients
                )
            )

    def _is_informing(self):
        """One mail per customer tells him all; a courtesy notice does not dun."""
        self.ensure_one()
        by_customer = self.sequence_id.grouping == "customer"
        return bool(by_customer and self.partner_id and self.date) and (
            not self.before_due
        )

    def _search_information(self):
        if not self:
            return self.env["dunning.enrollment"]
        return self.env["dunning.enrollment"].search(
            [
                ("company_id", "in", self.company_id.ids),
                ("partner_id", "in", self.partner_id.ids),
                ("due_date", "<", max(self.mapped("date"))),
                ("state", "!=", "stopped"),
                ("hold_reason", "not in", REASONS_SILENT),
            ],
            order="due_date, id",
        )

    def _is_informing_about(self, enrollment, recipients):
        """Hook: override to say less, or more."""
        self.ensure_one()
        mine = {(line.move_id, line.due_date) for line in self._get_current_lines()}
        whom = recipients[enrollment.move_id.id]["to"]
        return (
            enrollment.due_date < self.date
            and (enrollment.move_id, enrollment.due_date) not in mine
            and (self.channel != "email" or ", ".join(whom) == self.email_to)
        )

    def _split_information(self):
        """Return the rows of the table: (overdue, too; being clarified)."""
        self.ensure_one()
        others, apart = [], []
        for enrollment in self.information_ids:
            row = self._prepare_table_row(
                enrollment.move_id, enrollment.due_date, enrollment._get_amount()
            )
            held = enrollment.hold_reason in HOLDS_APART
            (apart if held else others).append(row)
        return others, apart

    def _get_fingerprint_facts(self):
        facts = super()._get_fingerprint_facts()
        for enrollment in self.information_ids:
            held = enrollment.hold_reason in HOLDS_APART
            amount = enrollment.currency_id.round(enrollment._get_amount())
            facts += [enrollment.move_id.id, enrollment.due_date, amount, held]
        return facts
