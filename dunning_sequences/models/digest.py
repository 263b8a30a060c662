"""Figures about reminders in the digest that Odoo sends."""

from odoo import api, fields, models
from odoo.exceptions import AccessError


class DigestDigest(models.Model):
    _inherit = "digest.digest"

    kpi_dunning_sent = fields.Boolean(string="Payment Reminders Sent")
    kpi_dunning_sent_value = fields.Integer(compute="_compute_kpi_dunning_sent_value")
    kpi_dunning_customers = fields.Boolean(string="Customers Reminded")
    kpi_dunning_customers_value = fields.Integer(
        compute="_compute_kpi_dunning_customers_value"
    )
    kpi_dunning_overdue = fields.Boolean(string="Overdue Invoices")
    kpi_dunning_overdue_value = fields.Monetary(
        compute="_compute_kpi_dunning_overdue_value",
        help="At the end of the time that is looked at.",
    )

    def _compute_kpi_dunning_sent_value(self):
        counts = self._count_dunning_reminders("__count")
        for digest in self:
            company = digest.company_id or self.env.company
            digest.kpi_dunning_sent_value = counts.get(company, 0)

    def _compute_kpi_dunning_customers_value(self):
        counts = self._count_dunning_reminders("partner_id:count_distinct")
        for digest in self:
            company = digest.company_id or self.env.company
            digest.kpi_dunning_customers_value = counts.get(company, 0)

    def _count_dunning_reminders(self, aggregate):
        """Count what reached customers, by company.

        Of whole days, because a reminder knows its day, not its hour.
        """
        self._check_dunning_access()
        start, end, companies = self._get_kpi_compute_parameters()
        rows = self.env["dunning.reminder"]._read_group(
            [
                ("company_id", "in", companies.ids),
                ("state", "in", ("sent", "doubtful", "recorded")),
                ("sent_on", ">=", fields.Date.to_date(start)),
                ("sent_on", "<", fields.Date.to_date(end)),
            ],
            ["company_id"],
            [aggregate],
        )
        return dict(rows)

    def _compute_kpi_dunning_overdue_value(self):
        self._check_dunning_access()
        _start, end, companies = self._get_kpi_compute_parameters()
        amounts = self._get_dunning_overdue(fields.Date.to_date(end), companies)
        for digest in self:
            company = digest.company_id or self.env.company
            digest.kpi_dunning_overdue_value = amounts.get(company, 0)

    @api.model
    def _get_dunning_overdue(self, day, companies):
        """Return {company: what was overdue on a day}, in company currency.

        What was due before, less what was matched with it until then.
        """
        due = [
            ("company_id", "in", companies.ids),
            ("display_type", "=", "payment_term"),
            ("move_id.move_type", "in", ("out_invoice", "out_receipt")),
            ("parent_state", "=", "posted"),
            ("date_maturity", "<", day),
            ("date", "<=", day),
        ]
        lines = self.env["account.move.line"].sudo()
        owed = dict(lines._read_group(due, ["company_id"], ["balance:sum"]))
        matched = self.env["account.partial.reconcile"].sudo()
        for side, sign in (("debit_move_id", -1), ("credit_move_id", 1)):
            for company, amount in matched._read_group(
                [(side, "any", due), ("max_date", "<=", day)],
                ["company_id"],
                ["amount:sum"],
            ):
                owed[company] = owed.get(company, 0) + sign * amount
        return owed

    @api.model
    def _check_dunning_access(self):
        """The digest leaves out what its reader may not see."""
        user = self.env.user
        if not (
            user.has_group("account.group_account_invoice")
            or user.has_group("account.group_account_readonly")
        ):
            raise AccessError(self.env._("Only for those who see invoices."))

    def _compute_kpis_actions(self, company, user):
        actions = super()._compute_kpis_actions(company, user)
        menu = self.env.ref("account.menu_finance").id
        for kpi, action in (
            ("kpi_dunning_sent", "dunning_reminder_action"),
            ("kpi_dunning_customers", "dunning_reminder_action"),
            ("kpi_dunning_overdue", "account_move_action_dunning_overdue"),
        ):
            actions[kpi] = f"dunning_sequences.{action}?menu_id={menu}"
        return actions

    @api.model
    def _switch_on_dunning_kpis(self):
        """In the digest that Odoo comes with, when the addon is installed."""
        digest = self.env.ref("digest.digest_digest_default", raise_if_not_found=False)
        if digest:
            digest.write({"kpi_dunning_sent": True, "kpi_dunning_overdue": True})
