"""Comparison: what reminders bring, held against customers who get none."""

from odoo import api, fields, models
from odoo.tools import SQL


class DunningComparison(models.Model):
    """One instalment of a sequence that has a comparison group.

    By the group that it was put into, whatever happened then: also one that a person
    reminded of. Only money counts as paid: see `dunning.analysis`. The amount is in
    company currency.
    """

    _name = "dunning.comparison"
    _inherit = ["dunning.median.mixin"]
    _description = "Effect of Reminders"
    _auto = False
    _order = "due_date desc, id desc"
    _rec_name = "move_id"

    move_id = fields.Many2one(
        comodel_name="account.move", string="Invoice", readonly=True
    )
    due_date = fields.Date(readonly=True)
    partner_id = fields.Many2one(
        comodel_name="res.partner", string="Customer", readonly=True
    )
    company_id = fields.Many2one(comodel_name="res.company", readonly=True)
    currency_id = fields.Many2one(related="company_id.currency_id")
    sequence_id = fields.Many2one(
        comodel_name="dunning.sequence", string="Reminder Sequence", readonly=True
    )
    comparison = fields.Selection(
        selection="_selection_comparison", string="Group", readonly=True
    )
    amount = fields.Monetary(readonly=True)
    settled_on = fields.Date(
        readonly=True, help="Day of the last payment, when nothing is open any more."
    )
    rate_7 = fields.Float(
        string="Paid 7 Days after the Due Date",
        readonly=True,
        aggregator="avg",
        help="Share of the instalments that were paid in full by then. Those that have "
        "time left are left out.",
    )
    rate_15 = fields.Float(
        string="Paid 15 Days after the Due Date", readonly=True, aggregator="avg"
    )
    rate_30 = fields.Float(
        string="Paid 30 Days after the Due Date", readonly=True, aggregator="avg"
    )
    median_days = fields.Float(
        string="Median Days Late",
        readonly=True,
        aggregator="median",
        digits=(16, 1),
        help="Of those that are paid, from the due date to the payment; negative when "
        "it came before.",
    )

    # What must be in the database before it is read.
    _depends = {
        "account.move": ["state"],
        "account.move.line": ["balance", "date_maturity", "reconciled"],
        "account.partial.reconcile": ["debit_amount_currency", "max_date"],
        "dunning.enrollment": ["comparison", "due_date", "sequence_id"],
    }

    @api.model
    def _selection_comparison(self):
        return (
            self.env["dunning.enrollment"]
            ._fields["comparison"]
            ._description_selection(self.env)
        )

    @property
    def _table_query(self):
        analysis = self.env["dunning.analysis"]
        return SQL(
            """
            WITH said AS (
                 SELECT move_id FROM dunning_enrollment WHERE comparison IS NOT NULL
            ), term AS (%(term)s), matched AS (%(matched)s), closed AS (%(closed)s)
            SELECT compared.id, compared.move_id, compared.due_date,
                   compared.partner_id, compared.company_id, compared.sequence_id,
                   compared.comparison, owed.amount,
                   CASE WHEN closed.is_money THEN closed.day END AS settled_on,
                   %(rate_7)s AS rate_7, %(rate_15)s AS rate_15,
                   %(rate_30)s AS rate_30,
                   CASE WHEN closed.is_money
                        THEN (closed.day - compared.due_date)::float
                   END AS median_days
              FROM dunning_enrollment compared
              JOIN account_move move ON move.id = compared.move_id
              JOIN (SELECT term.move_id, term.due_date, SUM(line.balance) AS amount
                      FROM term JOIN account_move_line line ON line.id = term.id
                  GROUP BY 1, 2) AS owed
                ON owed.move_id = compared.move_id
               AND owed.due_date = compared.due_date
         LEFT JOIN closed ON closed.move_id = compared.move_id
               AND closed.due_date = compared.due_date
             WHERE compared.comparison IS NOT NULL AND move.state = 'posted'
            """,
            term=analysis._get_term_sql(),
            matched=analysis._get_matched_sql(),
            closed=analysis._get_closed_sql(),
            rate_7=self._get_rate_sql(7),
            rate_15=self._get_rate_sql(15),
            rate_30=self._get_rate_sql(30),
        )

    def _get_rate_sql(self, days):
        """1 if paid in time, 0 if not, nothing as long as there is time: whoever pays
        at once would be counted before those who do not.

        Nothing either when a credit note or a write-off closed it.
        """
        return SQL(
            """
            CASE WHEN NOT closed.is_money THEN NULL
                 WHEN compared.due_date + %(days)s >= %(today)s THEN NULL
                 WHEN closed.day <= compared.due_date + %(days)s THEN 1.0 ELSE 0.0
            END
            """,
            days=days,
            today=fields.Date.context_today(self),
        )

    def action_open_invoice(self):
        """See the invoice: what was said, and what was paid."""
        self.ensure_one()
        return self.move_id._get_records_action()
