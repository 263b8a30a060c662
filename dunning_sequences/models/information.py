"""Information: what else is overdue, in the table of a grouped reminder.

It does not advance: each instalment has its own steps. What is held for the customer's
sake (a dispute, a promise) stands apart, as does what falls due soon, if the sequence
says so: both are never in a sum of what is asked for.
"""

from datetime import timedelta

from odoo import api, fields, models

#: Nothing is said of these: they are being paid, were never sent, or nobody follows
#: them.
REASONS_SILENT = (
    "blocked",
    "comparison",
    "in_payment",
    "no_followup",
    "not_sent",
    "payment_method",
    "transaction",
)


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    coming_days = fields.Integer(
        string="Also Show What Falls Due Within",
        tracking=True,
        help="Days. The table of a reminder then shows these invoices of the customer, "
        "too, apart from what is overdue and in none of its sums. 0: nothing is shown "
        "before it is due.",
    )

    _check_coming_days = models.Constraint(
        "CHECK (coming_days BETWEEN 0 AND 365)",
        "What falls due soon can be shown for 0 to 365 days ahead.",
    )


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    information_ids = fields.Many2many(
        comodel_name="dunning.enrollment",
        string="Also Overdue",
        compute="_compute_information_ids",
        help="Other overdue instalments of the customer that the table shows.",
    )
    clarified_ids = fields.Many2many(
        comodel_name="dunning.enrollment",
        string="Being Clarified",
        compute="_compute_information_ids",
        help="Those of them that are disputed, promised or paused: shown apart.",
    )
    coming_ids = fields.Many2many(
        comodel_name="dunning.enrollment",
        string="Falling Due Soon",
        compute="_compute_information_ids",
        help="Instalments of the customer that the table shows before they are due.",
    )

    @api.depends("line_ids.dropped", "partner_id", "date", "email_to")
    def _compute_information_ids(self):
        """Asked anew, as what a reminder is about: who has paid since is not named."""
        self.information_ids = self.clarified_ids = self.coming_ids = False
        informing = self.filtered(lambda reminder: reminder._is_informing())
        for (company, today), reminders in informing.grouped(
            lambda reminder: (reminder.company_id, reminder.date)
        ).items():
            found = reminders._search_information(company, today)
            if not found:
                continue
            overdue, clarified = found._read_standing(today)
            recipients = {
                channel: found.move_id._get_dunning_recipients_by(channel)
                for channel in set(reminders.mapped("channel"))
            }
            by_customer = found.grouped("partner_id")
            for reminder in reminders:
                whom = recipients[reminder.channel]
                told = by_customer.get(reminder.partner_id, found.browse()).filtered(
                    lambda enrollment, reminder=reminder, whom=whom: (
                        reminder._is_informing_about(enrollment, whom)
                    )
                )
                late = told.filtered(lambda e, today=today: e.due_date < today)
                reminder.information_ids = late & (overdue | clarified)
                reminder.clarified_ids = late & clarified
                reminder.coming_ids = (told - late) & overdue

    def _is_informing(self):
        """One mail per customer tells him all; a courtesy notice does not dun."""
        self.ensure_one()
        by_customer = self.sequence_id.grouping == "customer"
        return bool(by_customer and self.partner_id and self.date) and (
            not self.before_due
        )

    def _get_information_end(self):
        """The day before which an instalment is due that is told of."""
        self.ensure_one()
        days = self.sequence_id.coming_days
        return self.date + timedelta(days=days + 1 if days else 0)

    def _search_information(self, company, today):
        end = max(reminder._get_information_end() for reminder in self)
        found = self.env["dunning.enrollment"].search(
            [
                ("company_id", "=", company.id),
                ("partner_id", "in", self.partner_id.ids),
                ("due_date", "<", end),
                ("state", "!=", "stopped"),
            ],
            order="due_date, id",
        )
        customers = self.grouped("partner_id")

        def is_news(enrollment):
            """What is told to one is news to another."""
            reminders = customers[enrollment.partner_id]
            return not all(reminder._is_about(enrollment) for reminder in reminders)

        return found.filtered(is_news)

    def _is_about(self, enrollment):
        """Is the instalment one of its own, even if it was taken out since?"""
        return any(
            line.move_id == enrollment.move_id and line.due_date == enrollment.due_date
            for line in self.line_ids
        )

    def _is_informing_about(self, enrollment, recipients):
        """Only those who get the reminders of that invoice, too: all of them.

        Hook: override to say less.
        """
        self.ensure_one()
        whom = self._prepare_recipient_vals(recipients[enrollment.move_id.id])
        return (
            enrollment.partner_id == self.partner_id
            and enrollment.due_date < self._get_information_end()
            and not self._is_about(enrollment)
            and self._is_addressed(whom)
        )

    def _split_information(self):
        """Return the rows of the table: (overdue, too; being clarified; due soon)."""
        self.ensure_one()
        rows = [
            [
                self._prepare_table_row(
                    enrollment.move_id, enrollment.due_date, enrollment._get_amount()
                )
                for enrollment in enrollments
            ]
            for enrollments in (
                self.information_ids - self.clarified_ids,
                self.clarified_ids,
                self.coming_ids,
            )
        ]
        return tuple(rows)

    def _get_fingerprint_facts(self):
        facts = super()._get_fingerprint_facts()
        for enrollment in self.information_ids:
            apart = enrollment in self.clarified_ids
            amount = enrollment.currency_id.round(enrollment._get_amount())
            facts += [enrollment.move_id.id, enrollment.due_date, amount, apart]
        for enrollment in self.coming_ids:
            amount = enrollment.currency_id.round(enrollment._get_amount())
            facts += [enrollment.move_id.id, enrollment.due_date, amount, "coming"]
        return facts


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    def _read_standing(self, today):
        """Return (overdue instalments, those being clarified) as of now."""
        rows = self.sudo()._read_instalments(self.move_id.ids, today, {})
        by_key = {(row["move_id"], row["due_date"]): row for row in rows}
        overdue, clarified = self.browse(), self.browse()
        for enrollment in self:
            row = by_key.get((enrollment.move_id.id, enrollment.due_date))
            if not row or self._get_over_reason(row):
                continue
            sequence = self.env["dunning.sequence"].browse(row["wanted_id"])
            if row["hold_kind"] == "collection":
                continue  # somebody else speaks about it now
            if row["hold_kind"]:
                clarified += enrollment
            elif self._get_hold_reason(row, sequence) not in REASONS_SILENT:
                overdue += enrollment
        return overdue, clarified
