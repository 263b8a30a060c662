"""Promise: what a customer has said he pays, and whether he has.

Kept is a promise when at least its amount was paid, or allocated otherwise, on its
invoices since it was made, by its date and some days of grace; less is broken. If
nobody says an amount, it is what falls due by the promised day. Promises that belong
together are a payment plan: each asks for what was promised until then in all, and the
first one that is broken ends the plan.
"""

from odoo import api, fields, models

#: Nothing is open any more of invoices in these states.
PAID_STATES = ("paid", "in_payment", "reversed")

#: Kinds of holds that are about an amount.
KINDS_OF_AMOUNT = ("promise", "dispute")


class DunningHold(models.Model):
    _inherit = "dunning.hold"

    customer_id = fields.Many2one(
        comodel_name="res.partner",
        string="Of Customer",
        compute="_compute_customer_id",
        store=True,
        index="btree_not_null",
        help="The customer, also when the hold is for some of his invoices.",
    )
    open_before = fields.Json(
        readonly=True,
        help="What was open of each invoice when it was promised or disputed: "
        "{invoice's id: amount in its currency}.",
    )
    amount_paid = fields.Monetary(
        string="Paid of It",
        readonly=True,
        copy=False,
        help="What of a promise had been paid when it was kept or broken.",
    )
    days_late = fields.Integer(
        readonly=True,
        copy=False,
        aggregator="avg",
        help="Days after the promised one on which the last payment of a promise that "
        "was kept is dated.",
    )
    plan_id = fields.Many2one(
        comodel_name="dunning.hold",
        string="Payment Plan",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="The first promise of the plan that this one belongs to.",
    )
    plan_hold_ids = fields.One2many(
        comodel_name="dunning.hold", inverse_name="plan_id", readonly=True
    )
    plan_promise_ids = fields.One2many(
        related="plan_id.plan_hold_ids", string="Promises of the Plan"
    )
    noted_move_ids = fields.Many2many(
        comodel_name="account.move",
        string="Invoices Judged By",
        compute="_compute_noted_move_ids",
        compute_sudo=True,
        help="The invoices of which it is known what was open, and that it still is "
        "for.",
    )

    @api.depends("partner_id", "move_ids")
    def _compute_customer_id(self):
        for hold in self:
            customer = hold.move_ids.commercial_partner_id[:1]
            hold.customer_id = hold.partner_id or customer

    @api.depends("open_before", "move_ids")
    def _compute_noted_move_ids(self):
        """One of a customer names no invoices: some can have been deleted since."""
        Move = self.env["account.move"]
        noted = {hold: [int(key) for key in hold.open_before or {}] for hold in self}
        unnamed = self.filtered(lambda hold: not hold.move_ids)
        there = Move.browse({key for hold in unnamed for key in noted[hold]}).exists()
        for hold in self:
            hold.noted_move_ids = Move.browse(noted[hold]) & (hold.move_ids or there)

    # ------------------------------------------------------------------------
    # AMOUNTS
    # ------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        holds = super().create(vals_list)
        holds._note_open()
        return holds

    def write(self, vals):
        """Another amount is another promise, which counts from now on; another date
        is the same one.
        """
        if "open_before" in vals:
            return super().write(vals)
        anew = self.filtered(
            lambda hold: (
                "amount" in vals and vals["amount"] != hold.amount and not hold.plan_id
            )
        )
        res = super().write(vals)
        anew.write({"open_before": False})
        if {"amount", "kind", "move_ids", "partner_id"} & vals.keys():
            self._note_open()
        return res

    def unlink(self):
        self._hand_on_plans()
        return super().unlink()

    def _hand_on_plans(self):
        """The rest of a plan stays one: each asks for what the others leave."""
        for head in self.filtered(lambda hold: hold.plan_id == hold):
            rest = (head.plan_hold_ids - self).sorted(lambda p: (p.until, p.id))
            rest.plan_id = rest[:1]

    def _note_open(self):
        """Remember what is open of each invoice now; say an amount if nobody did."""
        for hold in self:
            if hold.kind not in KINDS_OF_AMOUNT or hold.closed_on:
                continue
            known, moves = hold.open_before or {}, hold.move_ids or hold._get_moves()
            vals = {
                "open_before": {
                    str(move.id): known.get(str(move.id), move._get_dunning_open())
                    for move in moves
                }
            }
            if hold.kind == "promise" and not hold.amount:
                vals["amount"] = hold._get_due_amount(moves)
            hold.write(vals)

    def _get_due_amount(self, moves):
        """What falls due of these invoices by the promised day; all that is open, when
        nothing does.
        """
        self.ensure_one()
        due = moves.line_ids.filtered(
            lambda line: (
                line.display_type == "payment_term"
                and (line.date_maturity or line.move_id.date) <= self.until
            )
        )
        open_by_move = {
            move: sum(lines.mapped("amount_residual_currency"))
            for move, lines in due.grouped("move_id").items()
        }
        if not any(open_by_move.values()):
            open_by_move = {move: move._get_dunning_open() for move in moves}
        return sum(self._convert(*item) for item in open_by_move.items())

    def _convert(self, move, amount):
        """An amount of an invoice in the currency of the hold, at the rate of its first
        day: later rates keep no promise and break none.
        """
        if not self.currency_id or move.currency_id == self.currency_id:
            return amount
        return move.currency_id._convert(
            amount, self.currency_id, self.company_id, self.since
        )

    def _get_open_before(self, moves):
        before = self.open_before or {}
        return sum(self._convert(move, before[str(move.id)]) for move in moves)

    def _get_share(self, moves):
        """The part of its amount that falls to some of its invoices: as what was open
        of them.
        """
        self.ensure_one()
        noted = self.noted_move_ids
        whole = self._get_open_before(noted)
        if not noted - moves or not whole:
            return self.amount
        share = self.amount * self._get_open_before(noted & moves) / whole
        return self.currency_id.round(share) if self.currency_id else share

    def _split_off(self, moves):
        """Each part keeps what it was about, and its share of the amount."""
        amount, before = self.amount, self.open_before
        share = self._get_share(moves)
        part = super()._split_off(moves)
        part.write({"amount": share, "open_before": before})
        self.write({"amount": amount - share, "open_before": before})
        return part

    # ------------------------------------------------------------------------
    # KEPT OR BROKEN
    # ------------------------------------------------------------------------

    @api.model
    def _close_promises(self, company, today):
        """Say of each promise that is over whether it was kept.

        :return: those that are broken, and not by one before of the same plan
        """
        promises = self.search(
            [
                ("kind", "=", "promise"),
                ("closed_on", "=", False),
                ("company_id", "=", company.id),
            ],
            order="until, id",
        )
        promises._prefetch_paid()
        kept = promises.filtered(lambda promise: promise._is_kept())
        missed = (promises - kept).filtered(lambda p: p._is_missed(today))
        moot = missed.filtered(lambda promise: promise._is_moot())
        missed -= moot
        lapsed = (moot | missed._get_plan_rest()) - kept
        broken = missed - lapsed
        kept._note_days_late()
        for promise in kept + broken:
            promise.amount_paid = promise._get_paid_of_it()
        kept.write({"closed_on": today, "outcome": "kept"})
        broken.write({"closed_on": today, "outcome": "broken"})
        lapsed.write({"closed_on": today, "outcome": "lapsed"})
        for promise in broken:
            promise._tell_broken()
        return broken

    def _prefetch_paid(self):
        """Read at once what `_is_kept` and `_get_paid` read of the invoices of each."""
        (self.move_ids | self.noted_move_ids).fetch(
            ["state", "payment_state", "amount_residual", "amount_total", "currency_id"]
        )

    def _is_kept(self):
        """Hook: override to ask for more, or for less."""
        self.ensure_one()
        moves = self.noted_move_ids
        if not moves or self._is_moot():
            return False
        if all(m.state == "cancel" or m.payment_state in PAID_STATES for m in moves):
            return True
        if not self.amount:
            return False
        currency = self.currency_id or self.company_id.currency_id
        wanted = self._get_promised_before() + self.amount
        return currency.compare_amounts(self._get_paid(), wanted) >= 0

    def _is_missed(self, today):
        """Its days are over; an invoice that is being corrected has none that count."""
        self.ensure_one()
        drafts = self.noted_move_ids.filtered(lambda move: move.state == "draft")
        return self.last_day < today and not drafts

    def _is_moot(self):
        """All its invoices are cancelled or deleted: there is nothing to keep."""
        self.ensure_one()
        return bool(self.open_before) and all(
            move.state == "cancel" for move in self.noted_move_ids
        )

    def _get_paid(self):
        """What was paid or allocated of its invoices since it was made.

        A payment of before that bounces is none of it.
        """
        self.ensure_one()
        before = self.open_before or {}
        return sum(
            self._convert(
                move, max(before[str(move.id)] - move._get_dunning_open(), 0.0)
            )
            for move in self.noted_move_ids
        )

    def _get_paid_of_it(self):
        """…of which earlier promises of the plan have had their part."""
        paid = self._get_paid() - self._get_promised_before()
        return min(max(paid, 0.0), self.amount)

    def _get_promised_before(self):
        """What earlier promises of its plan ask for, of the same invoices."""
        self.ensure_one()
        earlier = self.plan_promise_ids.filtered(
            lambda other: other._is_before(self) and other._is_about_same(self)
        )
        moves = self.noted_move_ids
        return sum(promise._get_share(moves) for promise in earlier)

    def _get_plan_rest(self):
        """The open promises of the same plans that come later."""
        rest = self.browse()
        for promise in self.filtered("plan_id"):
            rest += promise.plan_promise_ids.filtered(
                lambda other, promise=promise: (
                    not other.closed_on
                    and promise._is_before(other)
                    and other._is_about_same(promise)
                )
            )
        return rest

    def _is_before(self, other):
        """Of two that somebody moved to one day, the one that was made first."""
        return (self.until, self.id) < (other.until, other.id)

    def _is_about_same(self, other):
        """A plan of several invoices can have been split since."""
        return self.partner_id == other.partner_id and (
            not self.move_ids or bool(self.move_ids & other.move_ids)
        )

    def _note_days_late(self):
        """By the dates of the payments: they may be entered later."""
        paid_on = self.noted_move_ids._get_dunning_last_payments()
        for promise in self:
            days = [paid_on[m] for m in promise.noted_move_ids if m in paid_on]
            late = (max(days) - promise.until).days if days else 0
            promise.days_late = max(late, 0)

    def action_close(self):
        """End the hold today: reminders go on. Of a plan, the rest ends, too."""
        return super(DunningHold, self | self._get_plan_rest()).action_close()

    def _tell_broken(self):
        """The responsible decides what comes of it; the reminders go on meanwhile."""
        self.ensure_one()
        followed = self._get_moves().dunning_enrollment_ids.filtered("next_step_id")
        customer = followed.partner_id[:1].with_company(self.company_id)
        sequence = followed.sequence_id[:1]
        user = customer.dunning_user_id or sequence._get_responsible()
        if not user:
            return
        quietly = sequence._get_telling_context(user)
        followed.move_id[:1].with_context(**quietly).activity_schedule(
            "mail.mail_activity_data_todo",
            user_id=user.id,
            summary=self.with_context(lang=user.lang)._get_broken_summary(),
        )

    def _get_broken_summary(self):
        self.ensure_one()
        words = self._get_broken_words()
        if self.plan_id:
            text = self.env._("Payment plan broken: %(amount)s on %(date)s", **words)
        else:
            text = self.env._("Promise to pay broken: %(amount)s on %(date)s", **words)
        if not self.amount_paid:
            return text
        return self.env._("%(broken)s (%(paid)s was paid)", broken=text, **words)


class AccountMove(models.Model):
    _inherit = "account.move"

    def _get_dunning_open(self):
        """What is to be paid, in the invoice's currency: nothing of what is on its way.

        Of an invoice that is being corrected, all.
        """
        self.ensure_one()
        if self.state == "cancel":
            return 0.0
        if self.state != "posted":
            return self.amount_total
        return 0.0 if self.payment_state in PAID_STATES else self.amount_residual

    def _get_dunning_last_payments(self):
        """Return {invoice: date of the last payment, or credit, that is allocated}."""
        groups = self.env["account.partial.reconcile"]._read_group(
            [("debit_move_id.move_id", "in", self.ids)],
            ["debit_move_id"],
            ["max_date:max"],
        )
        days = {}
        for line, day in groups:
            days[line.move_id] = max(day, days.get(line.move_id, day))
        return days
