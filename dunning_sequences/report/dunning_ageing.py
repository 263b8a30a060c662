"""Ageing: what customers owe, by how late it is."""

from odoo import api, fields, models
from odoo.tools import SQL

#: The last day late of each age, but for the last one. Keys are in order when sorted.
AGES = (("00", 0), ("01_30", 30), ("31_60", 60), ("61_90", 90))
OLDEST = "91"


class DunningAgeing(models.Model):
    """One open instalment of a customer's invoice, followed by a sequence or not.

    Amounts are what is open now, in company currency. Credits that nobody has matched
    with an invoice are not taken off: see *Open Credits* of the sequences.
    """

    _name = "dunning.ageing"
    _description = "Open Invoices by Age"
    _auto = False
    _order = "due_date, id"
    _rec_name = "move_name"

    move_id = fields.Many2one(
        comodel_name="account.move", string="Invoice", readonly=True
    )
    move_name = fields.Char(string="Invoice Number", readonly=True)
    partner_id = fields.Many2one(
        comodel_name="res.partner", string="Customer", readonly=True
    )
    invoice_user_id = fields.Many2one(
        comodel_name="res.users", string="Salesperson", readonly=True
    )
    company_id = fields.Many2one(comodel_name="res.company", readonly=True)
    currency_id = fields.Many2one(related="company_id.currency_id")
    invoice_date = fields.Date(readonly=True)
    due_date = fields.Date(readonly=True)
    days_late = fields.Integer(
        readonly=True, aggregator="max", help="Negative before the due date."
    )
    age = fields.Selection(selection="_selection_age", readonly=True)

    # === Open === #
    amount = fields.Monetary(string="Amount Due", readonly=True)
    amount_00 = fields.Monetary(string="Not Due Yet", readonly=True)
    amount_01_30 = fields.Monetary(string="1–30 Days", readonly=True)
    amount_31_60 = fields.Monetary(string="31–60 Days", readonly=True)
    amount_61_90 = fields.Monetary(string="61–90 Days", readonly=True)
    amount_91 = fields.Monetary(string="Over 90 Days", readonly=True)

    # === Reminders === #
    sequence_id = fields.Many2one(
        comodel_name="dunning.sequence", string="Reminder Sequence", readonly=True
    )
    hold_reason = fields.Selection(
        selection="_selection_hold_reason", string="Why It Waits", readonly=True
    )
    next_date = fields.Date(string="Next Reminder", readonly=True)

    # What must be in the database before it is read.
    _depends = {
        "account.move": ["state", "payment_state", "invoice_date", "invoice_user_id"],
        "account.move.line": ["date_maturity", "amount_residual"],
        "dunning.enrollment": ["state", "hold_reason", "next_date", "sequence_id"],
    }

    @api.model
    def _selection_age(self):
        words = {
            "00": self.env._("Not due yet"),
            "01_30": self.env._("1–30 days late"),
            "31_60": self.env._("31–60 days late"),
            "61_90": self.env._("61–90 days late"),
            "91": self.env._("Over 90 days late"),
        }
        return list(words.items())

    @api.model
    def _selection_hold_reason(self):
        return self.env["dunning.enrollment"]._selection_hold_reason()

    @property
    def _table_query(self):
        return SQL(
            """
            SELECT aged.*, %(amounts)s
              FROM (SELECT open.*, %(age)s AS age
                      FROM (%(open)s) AS open) AS aged
            """,
            amounts=SQL(", ").join(map(self._get_amount_sql, self._get_ages())),
            age=self._get_age_sql(),
            open=self._get_open_sql(),
        )

    @api.model
    def _get_ages(self):
        return [*(age for age, _days in AGES), OLDEST]

    def _get_amount_sql(self, age):
        """The amount, in the column of its age."""
        return SQL(
            "CASE WHEN aged.age = %s THEN aged.amount ELSE 0 END AS %s",
            age,
            SQL.identifier(f"amount_{age}"),
        )

    def _get_age_sql(self):
        cases = (
            SQL("WHEN open.days_late <= %s THEN %s", days, age) for age, days in AGES
        )
        return SQL("CASE %s ELSE %s END", SQL(" ").join(cases), OLDEST)

    def _get_open_sql(self):
        """What is open of each instalment: several lines of one date are one."""
        return SQL(
            """
            SELECT MIN(line.id) AS id, move.id AS move_id, move.name AS move_name,
                   move.commercial_partner_id AS partner_id, move.invoice_user_id,
                   move.company_id, move.invoice_date, due.date AS due_date,
                   %(today)s::date - due.date AS days_late,
                   SUM(line.amount_residual) AS amount,
                   enrolled.sequence_id, enrolled.hold_reason, enrolled.next_date
              FROM account_move move
              JOIN account_move_line line ON line.move_id = move.id
        CROSS JOIN LATERAL (
                   SELECT COALESCE(line.date_maturity, move.invoice_date_due,
                                   move.invoice_date, move.date)) AS due (date)
         LEFT JOIN dunning_enrollment enrolled ON enrolled.move_id = move.id
               AND enrolled.due_date = due.date AND enrolled.state != 'stopped'
             WHERE move.state = 'posted'
               AND move.move_type IN ('out_invoice', 'out_receipt')
               AND move.payment_state IN ('not_paid', 'partial', 'blocked')
               AND line.display_type = 'payment_term' AND line.amount_residual > 0
          GROUP BY move.id, due.date, enrolled.id
            """,
            today=fields.Date.context_today(self),
        )

    def action_open_invoice(self):
        """See the invoice: what was said, and what comes next."""
        self.ensure_one()
        return self.move_id._get_records_action()
