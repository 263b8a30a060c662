"""Statement of account: all open items of a customer, attached to his reminder (I04).

Made when the mail leaves, so that it says what is true then.
"""

from odoo import fields, models
from odoo.tools import format_date, formatLang


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    attach_statement = fields.Boolean(
        help="Attaches a list of all open items of the customer, as a PDF.",
    )


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _is_attaching_statement(self):
        self.ensure_one()
        chosen = self if self.composed else self.sequence_id
        return self.channel == "email" and chosen.attach_statement

    def _can_be_read_ahead(self, run, today):
        return not self._is_attaching_statement() and super()._can_be_read_ahead(
            run, today
        )

    def _build_message(self):
        if self._is_attaching_statement():
            self._renew_statement()
        return super()._build_message()

    def _renew_statement(self):
        """Attach the statement of now, in place of the one of an earlier try."""
        message = self.mail_message_id.sudo()
        old = message.attachment_ids.filtered(
            lambda file: (file.res_model, file.res_id) == (self._name, self.id)
        )
        old.unlink()
        pdf, _kind = self.env["ir.actions.report"]._render_qweb_pdf(
            "dunning_sequences.action_report_dunning_statement", self.ids
        )
        message.attachment_ids += self.env["ir.attachment"].create(
            {
                "name": f"{self._get_statement_filename()}.pdf",
                "raw": pdf,
                "mimetype": "application/pdf",
                "res_model": self._name,
                "res_id": self.id,
            }
        )

    def _get_statement_filename(self):
        self.ensure_one()
        env = self.with_context(lang=self.lang or self.env.lang).env
        return env._("Statement of account %(date)s", date=self.date)

    def _get_statement_lines(self):
        """The open items of the customer: invoices, credit notes and payments."""
        return self.env["account.move.line"].search(
            [
                ("company_id", "=", self.company_id.id),
                ("partner_id.commercial_partner_id", "=", self.partner_id.id),
                ("account_id.account_type", "=", "asset_receivable"),
                ("account_id.non_trade", "=", False),
                ("parent_state", "=", "posted"),
                ("reconciled", "=", False),
            ],
            order="date_maturity, id",
        )

    def _get_statement_rows(self):
        """Return the rows of the table, ready to print, in the reader's language."""
        return [
            self._prepare_statement_row(line) for line in self._get_statement_lines()
        ]

    def _prepare_statement_row(self, line):
        """Hook: override to show more of an item."""
        currency = line.currency_id
        due = line.date_maturity or line.date
        return {
            "name": line.move_id.name,
            "date": format_date(self.env, line.invoice_date or line.date),
            "due_date": format_date(self.env, due),
            "days_late": max((self.date - due).days, 0),
            "total": formatLang(self.env, line.amount_currency, currency_obj=currency),
            "amount": formatLang(
                self.env, line.amount_residual_currency, currency_obj=currency
            ),
            "value": line.amount_residual_currency,
            "currency": currency,
        }

    def _get_statement_totals(self, rows):
        """What is open, and what of it is overdue: one total per currency."""
        return {
            "open": self._format_totals(rows),
            "overdue": self._format_totals([row for row in rows if row["days_late"]]),
        }
