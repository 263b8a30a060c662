"""Promises: which customers keep theirs, and how late the others pay."""

from odoo import api, fields, models
from odoo.tools import SQL


class DunningPromiseAnalysis(models.Model):
    """One promise to pay. Whether it was kept is said by `dunning.hold`.

    The amount is in company currency, at the rate of the invoice. A promise for a whole
    customer names no invoices: when it was paid is not known.
    """

    _name = "dunning.promise.analysis"
    _description = "Promises to Pay"
    _auto = False
    _order = "until desc, id desc"
    _rec_name = "hold_id"

    hold_id = fields.Many2one(
        comodel_name="dunning.hold", string="Promise", readonly=True
    )
    partner_id = fields.Many2one(
        comodel_name="res.partner", string="Customer", readonly=True
    )
    company_id = fields.Many2one(comodel_name="res.company", readonly=True)
    currency_id = fields.Many2one(related="company_id.currency_id")
    since = fields.Date(string="Promised On", readonly=True)
    until = fields.Date(string="Promised For", readonly=True)
    outcome = fields.Selection(selection="_selection_outcome", readonly=True)
    amount = fields.Monetary(string="Amount Promised", readonly=True)
    kept = fields.Float(
        string="Share Kept",
        readonly=True,
        aggregator="avg",
        help="Of the promises that are over. Kept: its amount was paid by the promised "
        "day or within its days of grace.",
    )
    paid_on = fields.Date(
        readonly=True, help="Day of the last payment, when nothing is open any more."
    )
    days_late = fields.Integer(
        readonly=True,
        aggregator="avg",
        help="From the promised day to the payment, negative when it came before. Of a "
        "broken promise that is still open: until today.",
    )

    # What must be in the database before it is read.
    _depends = {
        "dunning.hold": [
            "kind",
            "until",
            "since",
            "amount",
            "currency_id",
            "outcome",
            "closed_on",
            "days_late",
        ],
        "account.move": ["amount_total", "amount_total_signed", "payment_state"],
        "account.partial.reconcile": ["max_date"],
    }

    @api.model
    def _selection_outcome(self):
        words = {
            "open": self.env._("Still open"),
            "kept": self.env._("Kept"),
            "broken": self.env._("Broken"),
            "lapsed": self.env._("Lapsed"),
            "resumed": self.env._("Ended by hand"),
        }
        return list(words.items())

    @property
    def _table_query(self):
        return SQL(
            """
            SELECT hold.id, hold.id AS hold_id, hold.company_id, hold.since, hold.until,
                   COALESCE(hold.partner_id, promised.partner_id) AS partner_id,
                   COALESCE(hold.outcome, 'open') AS outcome,
                   CASE WHEN hold.currency_id = company.currency_id THEN hold.amount
                        ELSE hold.amount * COALESCE(promised.rate, 1)
                   END AS amount,
                   CASE hold.outcome WHEN 'kept' THEN 1.0 WHEN 'broken' THEN 0.0
                   END AS kept,
                   promised.paid_on,
                   CASE WHEN hold.outcome = 'kept'
                         AND (promised.paid_on IS NULL
                           OR promised.paid_on > hold.closed_on)
                        THEN hold.days_late
                        WHEN promised.paid_on IS NOT NULL
                        THEN promised.paid_on - hold.until
                        WHEN hold.outcome = 'broken' AND promised.rate IS NOT NULL
                        THEN %(today)s::date - hold.until
                   END AS days_late
              FROM dunning_hold hold
              JOIN res_company company ON company.id = hold.company_id
         LEFT JOIN LATERAL (%(promised)s) promised ON TRUE
             WHERE hold.kind = 'promise'
            """,
            promised=self._get_promised_sql(),
            today=fields.Date.context_today(self),
        )

    def _get_promised_sql(self):
        """The invoices of a promise: whose they are, and when the last was paid."""
        return SQL(
            """
            SELECT MIN(move.commercial_partner_id) AS partner_id,
                   MIN(move.amount_total_signed / NULLIF(move.amount_total, 0)) AS rate,
                   CASE WHEN BOOL_AND(
                             move.payment_state IN ('paid', 'in_payment', 'reversed'))
                        THEN MAX(paid.day) END AS paid_on
              FROM dunning_hold_move_rel rel
              JOIN account_move move ON move.id = rel.move_id
         LEFT JOIN LATERAL (
                   SELECT MAX(match.max_date) AS day
                     FROM account_move_line line
                     JOIN account_partial_reconcile match
                       ON match.debit_move_id = line.id
                    WHERE line.move_id = move.id
                      AND line.display_type = 'payment_term') paid ON TRUE
             WHERE rel.hold_id = hold.id
            """
        )

    def action_open_promise(self):
        """See the promise: who noted it, and for which invoices."""
        self.ensure_one()
        return self.hold_id._get_records_action()
