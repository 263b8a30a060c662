"""Credit: what a customer has in his favour, and nobody has allocated yet.

Credit notes and payments of the same customer and company. A sequence waits until they
are allocated, names them in its mails with what remains, or says nothing of them.
"""

from odoo import api, fields, models


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    credit_policy = fields.Selection(
        selection=[
            ("hold", "Wait until they are allocated"),
            ("mention", "Mention them, with what remains"),
            ("ignore", "Say nothing of them"),
        ],
        string="Open Credits",
        default="mention",
        required=True,
        help="When the customer has credit notes or payments that are not allocated to "
        "an invoice yet.",
    )


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def _read_credits(self, company_id, partner_ids):
        """Return {customer's id: open items in his favour}."""
        found = self._group_credits(self._search_credits(company_id, partner_ids))
        nothing = self.env["account.move.line"]
        return {id_: found.get(id_, nothing) for id_ in partner_ids}

    @api.model
    def _group_credits(self, lines):
        return lines.grouped(lambda line: line.partner_id.commercial_partner_id.id)

    @api.model
    def _search_credits(self, company_id, partner_ids=None):
        """By accounts and contacts: so it finds Odoo's index of what is unreconciled.

        :param partner_ids: of customers; default: all
        """
        accounts = self.env["account.account"].sudo()
        accounts = accounts.search(
            [
                ("company_ids", "parent_of", company_id),
                ("account_type", "=", "asset_receivable"),
                ("non_trade", "=", False),
            ]
        )
        whose = []
        if partner_ids is not None:
            contacts = self.env["res.partner"].sudo().with_context(active_test=False)
            contacts = contacts.search(
                [("commercial_partner_id", "in", list(partner_ids))]
            )
            whose = [("partner_id", "in", contacts.ids)]
        return (
            self.env["account.move.line"]
            .sudo()
            .search(
                [
                    ("account_id", "in", accounts.ids),
                    *whose,
                    ("company_id", "=", company_id),
                    ("parent_state", "=", "posted"),
                    ("reconciled", "=", False),
                    ("amount_residual", "<", 0),
                ],
                order="date, id",
            )
        )

    @api.model
    def _note_credits(self, rows):
        """Note on each row whether its customer's credits hold it."""
        sequences = self.env["dunning.sequence"].browse(
            {row["wanted_id"] for row in rows if row["wanted_id"]}
        )
        holding = sequences.filtered(lambda s: s.credit_policy == "hold").ids
        asking = [row for row in rows if row["wanted_id"] in holding]
        known = {
            (company_id, partner_id)
            for company_id, _today, partner_ids in self._get_customers(asking)
            for partner_id, lines in self._read_credits(company_id, partner_ids).items()
            if lines
        }
        for row in rows:
            row["held_by_credits"] = row["wanted_id"] in holding and (
                (row["move_company_id"], row["commercial_partner_id"]) in known
            )


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    credit_ids = fields.Many2many(
        comodel_name="account.move.line",
        string="Open Credits",
        compute="_compute_credit_ids",
        help="Credit notes and payments that the table shows, with what remains.",
    )

    @api.depends("partner_id", "company_id", "sequence_id", "date")
    def _compute_credit_ids(self):
        """Asked anew, as what else is overdue: see `information_ids`."""
        self.credit_ids = False
        mentioning = self.filtered(lambda reminder: reminder._is_mentioning_credits())
        for company, reminders in mentioning.grouped("company_id").items():
            found = self.env["dunning.enrollment"]._read_credits(
                company.id, reminders.partner_id.ids
            )
            for reminder in reminders:
                reminder.credit_ids = found[reminder.partner_id.id]

    def _is_mentioning_credits(self):
        """What a person composed is about what he chose. Hook."""
        self.ensure_one()
        mentions = self.sequence_id.credit_policy == "mention"
        return mentions and bool(self.partner_id) and not self.composed

    def _get_objection(self, row):
        """Who sends by hand knows what he does."""
        objection = super()._get_objection(row)
        if not objection and self.origin != "manual" and row.get("held_by_credits"):
            return "credits"
        return objection

    def _prefetch_content(self):
        res = super()._prefetch_content()
        self.credit_ids.mapped("amount_residual_currency")
        return res

    def _get_fingerprint_facts(self):
        facts = super()._get_fingerprint_facts()
        for line in self.credit_ids:
            amount = line.currency_id.round(line.amount_residual_currency)
            facts += [line.id, amount]
        return facts

    def _prepare_table_values(self, lines):
        """What is due, less what he has in his favour."""
        values = super()._prepare_table_values(lines)
        rows = [self._prepare_credit_row(line) for line in self.credit_ids]
        due = values["rows"] + values["others"]
        net = rows and self._format_totals(due + rows)
        return {**values, "credits": rows, "net": net}

    def _prepare_credit_row(self, line):
        """A row of the table, with a negative amount. Hook."""
        amount, currency = line.amount_residual_currency, line.currency_id
        return {
            "name": line.move_id.name,
            "url": "",
            "invoice_date": self._format_date(line.date),
            "due_date": "",
            "amount": self._format_amount(amount, currency),
            "value": amount,
            "currency": currency,
        }
