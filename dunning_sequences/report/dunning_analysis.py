"""Analysis: what reminders bring in."""

from odoo import fields, models
from odoo.tools import SQL


class DunningAnalysis(models.Model):
    """One instalment at one step, and what was paid after it.

    A payment belongs to the latest reminder before it, so that nothing counts twice;
    one of the same day belongs to the reminder. Its date is the later one of the
    payment's and the invoice's. Only money counts: no credit notes, no write-offs, and
    no payments that are not matched with the invoice. An instalment that one of those
    closed was never owed in full: the rates leave it out. Amounts are in company
    currency, at the rate of the invoice.
    """

    _name = "dunning.analysis"
    _inherit = ["dunning.median.mixin"]
    _description = "Reminder Analysis"
    _auto = False
    _order = "date desc, id desc"
    _rec_name = "move_name"

    # === Reminder === #
    reminder_id = fields.Many2one(
        comodel_name="dunning.reminder", string="Payment Reminder", readonly=True
    )
    date = fields.Date(
        string="Reminder Date", readonly=True, help="The day for which it was written."
    )
    sent_on = fields.Date(readonly=True)
    sequence_id = fields.Many2one(
        comodel_name="dunning.sequence", string="Reminder Sequence", readonly=True
    )
    step_id = fields.Many2one(comodel_name="dunning.sequence.step", readonly=True)
    step_name = fields.Char(
        readonly=True, help="As it was named then; kept when the step is deleted."
    )
    template_id = fields.Many2one(
        comodel_name="mail.template",
        string="E-mail Template",
        readonly=True,
        help="The one that was chosen for this reminder, else the one that the step "
        "has now. None when its text is typed.",
    )
    origin = fields.Selection(selection="_selection_origin", readonly=True)
    channel = fields.Selection(selection="_selection_channel", readonly=True)
    state = fields.Selection(selection="_selection_state", readonly=True)
    has_reached = fields.Boolean(
        string="Reached the Customer",
        readonly=True,
        help="Sent, printed or told. Not: cancelled, failed, bounced or waiting.",
    )

    # === Invoice === #
    move_id = fields.Many2one(
        comodel_name="account.move", string="Invoice", readonly=True
    )
    move_name = fields.Char(string="Invoice Number", readonly=True)
    due_date = fields.Date(readonly=True)
    partner_id = fields.Many2one(
        comodel_name="res.partner", string="Customer", readonly=True
    )
    invoice_user_id = fields.Many2one(
        comodel_name="res.users", string="Salesperson", readonly=True
    )
    company_id = fields.Many2one(comodel_name="res.company", readonly=True)
    currency_id = fields.Many2one(related="company_id.currency_id")

    # === What came of it === #
    amount = fields.Monetary(string="Amount Reminded", readonly=True)
    paid = fields.Monetary(
        string="Paid Afterwards", readonly=True, help="Before the next reminder."
    )
    paid_7 = fields.Monetary(string="Paid within 7 Days", readonly=True)
    paid_15 = fields.Monetary(string="Paid within 15 Days", readonly=True)
    paid_30 = fields.Monetary(string="Paid within 30 Days", readonly=True)
    rate_7 = fields.Float(
        string="Settled within 7 Days",
        readonly=True,
        aggregator="avg",
        help="Share of the instalments that were paid in full after this reminder, in "
        "so many days and before the next one. Those that have time left are left out.",
    )
    rate_15 = fields.Float(
        string="Settled within 15 Days", readonly=True, aggregator="avg"
    )
    rate_30 = fields.Float(
        string="Settled within 30 Days", readonly=True, aggregator="avg"
    )
    settled_on = fields.Date(
        readonly=True, help="Day of the last payment, when nothing is open any more."
    )
    days_to_pay = fields.Integer(
        readonly=True,
        aggregator="avg",
        help="From the reminder to the payment that settled the instalment.",
    )
    median_days = fields.Float(
        string="Median Days to Pay",
        readonly=True,
        aggregator="median",
        digits=(16, 1),
        help="Half of the settled instalments were paid faster: a few that are paid "
        "very late do not move it.",
    )
    days_late = fields.Integer(
        string="Days Late When Sent",
        readonly=True,
        aggregator="avg",
        help="Negative before the due date.",
    )

    # What must be in the database before it is read.
    _depends = {
        "dunning.reminder": [
            "state",
            "sent_on",
            "date",
            "origin",
            "channel",
            "template_id",
            "own_text",
        ],
        "dunning.reminder.line": ["move_id", "due_date", "amount", "dropped"],
        "account.move": ["amount_total", "amount_total_signed", "invoice_user_id"],
        "account.move.line": ["date_maturity", "reconciled"],
        "account.partial.reconcile": ["debit_amount_currency", "max_date"],
    }

    def _selection_origin(self):
        return (
            self.env["dunning.reminder"]
            ._fields["origin"]
            ._description_selection(self.env)
        )

    def _selection_channel(self):
        return self.env["dunning.reminder"]._selection_channel()

    def _selection_state(self):
        return (
            self.env["dunning.reminder"]
            ._fields["state"]
            ._description_selection(self.env)
        )

    @property
    def _table_query(self):
        return SQL(
            """
            WITH said AS (%(said)s), term AS (%(term)s), matched AS (%(matched)s),
                 closed AS (%(closed)s), result AS (%(result)s)
            %(select)s
            """,
            said=self._get_said_sql(),
            term=self._get_term_sql(),
            matched=self._get_matched_sql(),
            closed=self._get_closed_sql(),
            result=self._get_result_sql(),
            select=self._get_select_sql(),
        )

    def _get_said_sql(self):
        """What reached the customer, and when the next reminder did."""
        return SQL(
            """
            SELECT line.id, line.move_id, line.due_date, reminder.sent_on,
                   LEAD(reminder.sent_on) OVER (
                       PARTITION BY line.move_id, line.due_date
                           ORDER BY reminder.sent_on, line.id) AS next_on
              FROM dunning_reminder_line line
              JOIN dunning_reminder reminder ON reminder.id = line.reminder_id
             WHERE reminder.state IN ('sent', 'doubtful', 'recorded')
               AND reminder.sent_on IS NOT NULL
               AND line.dropped IS NOT TRUE
               AND line.move_id IS NOT NULL
            """
        )

    def _get_term_sql(self):
        """What is owed of their instalments: several lines of one date are one."""
        return SQL(
            """
            SELECT *, BOOL_AND(reconciled) OVER (PARTITION BY move_id, due_date)
                   AS is_settled
              FROM (SELECT line.id, line.move_id, line.reconciled,
                           COALESCE(line.date_maturity, move.invoice_date_due,
                                    move.invoice_date, move.date) AS due_date
                      FROM account_move_line line
                      JOIN account_move move ON move.id = line.move_id
                     WHERE move.id IN (SELECT move_id FROM said)
                       AND line.display_type = 'payment_term') line
            """
        )

    def _get_matched_sql(self):
        """What was matched with them, and whether it was money.

        Differences of exchange rates have no amount in the invoice's currency.
        """
        return SQL(
            """
            SELECT term.move_id, term.due_date, term.is_settled, match.max_date AS day,
                   match.debit_amount_currency AS amount, %(is_money)s AS is_money
              FROM term
              JOIN account_partial_reconcile match ON match.debit_move_id = term.id
              JOIN account_move_line credit ON credit.id = match.credit_move_id
              JOIN account_move payment ON payment.id = credit.move_id
              JOIN account_journal journal ON journal.id = payment.journal_id
             WHERE match.debit_amount_currency > 0
            """,
            is_money=self._get_is_money_sql(),
        )

    def _get_is_money_sql(self):
        """Not: credit notes, write-offs and what was netted in a miscellaneous entry.

        Hook: override when your payments are booked otherwise.
        """
        return SQL(
            "(payment.origin_payment_id IS NOT NULL"
            " OR journal.type IN ('bank', 'cash', 'credit'))"
        )

    def _get_closed_sql(self):
        """Of those on which nothing is open any more: when, and whether by money."""
        return SQL(
            """
            SELECT DISTINCT ON (move_id, due_date) move_id, due_date, day, is_money
              FROM matched WHERE is_settled
          ORDER BY move_id, due_date, day DESC, is_money DESC
            """
        )

    def _get_result_sql(self):
        """What was paid after each of them and before the next, the later of a day's
        two. One row for each line after which something was paid.
        """
        return SQL(
            """
            SELECT said.id, SUM(amount) AS paid,
                   SUM(amount) FILTER (WHERE day <= sent_on + 7) AS paid_7,
                   SUM(amount) FILTER (WHERE day <= sent_on + 15) AS paid_15,
                   SUM(amount) FILTER (WHERE day <= sent_on + 30) AS paid_30
              FROM said
              JOIN matched USING (move_id, due_date)
             WHERE is_money AND day >= sent_on AND (next_on IS NULL OR day < next_on)
          GROUP BY said.id
            """
        )

    def _get_select_sql(self):
        return SQL(
            """
            SELECT line.id, line.reminder_id, line.move_id, line.move_name,
                   line.due_date, line.step_id, line.step_name, line.company_id,
                   reminder.date, reminder.sent_on, reminder.sequence_id,
                   reminder.partner_id, reminder.origin, reminder.channel,
                   reminder.state, move.invoice_user_id,
                   said.id IS NOT NULL AS has_reached,
                   said.sent_on - line.due_date AS days_late,
                   line.amount * rate.rate AS amount,
                   COALESCE(result.paid, 0) * rate.rate AS paid,
                   COALESCE(result.paid_7, 0) * rate.rate AS paid_7,
                   COALESCE(result.paid_15, 0) * rate.rate AS paid_15,
                   COALESCE(result.paid_30, 0) * rate.rate AS paid_30,
                   closed.day AS settled_on,
                   closed.day - said.sent_on AS days_to_pay,
                   (closed.day - said.sent_on)::float AS median_days,
                   CASE WHEN reminder.own_text IS NULL
                        THEN COALESCE(reminder.template_id, step.template_id)
                   END AS template_id,
                   %(rate_7)s AS rate_7, %(rate_15)s AS rate_15, %(rate_30)s AS rate_30
              FROM dunning_reminder_line line
              JOIN dunning_reminder reminder ON reminder.id = line.reminder_id
         LEFT JOIN dunning_sequence_step step ON step.id = line.step_id
               AND step.content = 'template'
         LEFT JOIN account_move move ON move.id = line.move_id
        CROSS JOIN LATERAL (
                   SELECT COALESCE(
                       move.amount_total_signed / NULLIF(move.amount_total, 0), 1
                   )) AS rate (rate)
         LEFT JOIN said ON said.id = line.id
         LEFT JOIN result ON result.id = line.id
         LEFT JOIN closed ON closed.move_id = said.move_id
               AND closed.due_date = said.due_date AND closed.is_money
               AND closed.day >= said.sent_on
               AND (said.next_on IS NULL OR closed.day < said.next_on)
         LEFT JOIN closed AS written_off ON written_off.move_id = said.move_id
               AND written_off.due_date = said.due_date AND NOT written_off.is_money
            """,
            rate_7=self._get_rate_sql(7),
            rate_15=self._get_rate_sql(15),
            rate_30=self._get_rate_sql(30),
        )

    def _get_rate_sql(self, days):
        """1 if settled in time, 0 if not, nothing as long as there is time."""
        return SQL(
            """
            CASE WHEN said.id IS NULL OR written_off.day IS NOT NULL THEN NULL
                 WHEN closed.day <= said.sent_on + %(days)s THEN 1.0
                 WHEN said.next_on IS NOT NULL THEN 0.0
                 WHEN said.sent_on + %(days)s < %(today)s THEN 0.0
            END
            """,
            days=days,
            today=fields.Date.context_today(self),
        )

    def action_open_reminder(self):
        """See the reminder: what it said, and what became of it."""
        self.ensure_one()
        return self.reminder_id._get_records_action()
