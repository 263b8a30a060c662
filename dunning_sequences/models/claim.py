"""Claim: what a customer owes beside the invoice because he pays it late.

In the European Union a fixed compensation of EUR 40 for each late invoice (directive
2011/7/EU, art. 6; C. com., art. L441-10 II and D441-5) and interest on what was open
(art. 3; L441-10 II). Elsewhere a flat fee for each step that reached the customer. Only
from business customers, and only where a sequence says so. Here it is read, for many
invoices at once; nothing is stored.
"""

from collections import defaultdict
from dataclasses import dataclass

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ..tools import late_payment
from .promise import PAID_STATES

#: Directive 2011/7/EU, art. 6(1); C. com., art. D441-5.
COMPENSATION_EUR = 40


@dataclass(frozen=True, slots=True)
class Claim:
    """What one invoice gives a claim to, in its own currency.

    ``fixed``: compensation or fees; ``interest``: rounded; ``booked``: what other
    invoices, not cancelled, claim of it already.
    """

    policy: str
    law: str | None
    fixed: float
    interest: float
    booked: float
    waived: bool
    periods: tuple

    @property
    def fixed_left(self):
        """What was booked covers the compensation first, then the interest."""
        return 0.0 if self.waived else max(round(self.fixed - self.booked, 6), 0.0)

    @property
    def interest_left(self):
        over = max(self.booked - self.fixed, 0.0)
        return 0.0 if self.waived else max(round(self.interest - over, 6), 0.0)

    @property
    def left(self):
        return round(self.fixed_left + self.interest_left, 6)


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    claim_policy = fields.Selection(
        selection=[
            ("none", "Claim nothing"),
            ("legal", "Compensation and interest (EU)"),
            ("fee", "A flat fee per step"),
        ],
        string="Late-Payment Claim",
        default="none",
        required=True,
        tracking=True,
        help="What business customers are asked for because they pay late. Shown in "
        "the reminders below what is due; booked only when you ask for it, on the "
        "invoice. Compensation and interest: EUR 40 for each late invoice, and "
        "interest by day (directive 2011/7/EU; in France C. com., art. L441-10).",
    )
    claim_problem = fields.Char(compute="_compute_claim_problem")

    @api.depends("claim_policy", "company_id")
    @api.depends_context("lang")
    def _compute_claim_problem(self):
        """What is missing for the interest, on the day on which somebody looks."""
        for sequence in self:
            company = sequence.company_id
            sequence.claim_problem = (
                sequence.claim_policy == "legal"
                and company
                and company._get_dunning_claim_problem(company._dunning_today())
            )

    @api.constrains("claim_policy", "company_id")
    def _check_claim_policy(self):
        for sequence in self.filtered(lambda s: s.claim_policy == "legal"):
            company = sequence.company_id
            if not company._get_dunning_claim_law():
                raise ValidationError(company._get_no_claim_law_message())


class DunningSequenceStep(models.Model):
    _inherit = "dunning.sequence.step"

    claim_policy = fields.Selection(related="sequence_id.claim_policy")
    company_currency_id = fields.Many2one(related="company_id.currency_id")
    claim_fee = fields.Monetary(
        string="Fee",
        currency_field="company_currency_id",
        help="What each late invoice is charged, once, when a business customer is "
        "reminded at this step. Fees of several steps add up.",
    )

    _check_claim_fee = models.Constraint(
        "CHECK (claim_fee >= 0)", "The fee of a step cannot be negative."
    )


class ResCompany(models.Model):
    _inherit = "res.company"

    def _get_dunning_claim_problem(self, today):
        """Say what keeps the legal claim from being whole, False if nothing does."""
        self.ensure_one()
        if not self._get_dunning_claim_law():
            return self._get_no_claim_law_message()
        if not self._get_euro().active:
            return self.env._(
                "The euro is not active: without it nothing says what EUR 40 are "
                "worth, and no compensation is claimed. Activate it and its rates."
            )
        return self._get_dunning_rate_problem(self._get_dunning_rates(), today)

    def _get_no_claim_law_message(self):
        self.ensure_one()
        return self.env._(
            "Compensation and interest are the law of the European Union, and "
            "%(company)s is not in it. Give the company its country, or choose a flat "
            "fee per step.",
            company=self.name,
        )

    @api.model
    def _get_euro(self):
        """By a memory of Odoo's: it is asked for each invoice."""
        euro_id = self.env["ir.model.data"]._xmlid_to_res_id("base.EUR")
        return self.env["res.currency"].browse(euro_id)


class AccountMove(models.Model):
    _inherit = "account.move"

    def _is_claimable(self):
        """Can paying this invoice late give a claim? Hook.

        Not the invoice of a claim itself, and not what was credited in full.
        """
        self.ensure_one()
        return (
            self.move_type in ("out_invoice", "out_receipt")
            and self.state == "posted"
            and self.payment_state != "reversed"
            and not self.dunning_claim_of_id
            and self._is_claimable_from_customer()
        )

    def _is_paid_undated(self):
        """Was it paid by a payment without an entry?

        Odoo says that it is paid, but its amount is open until the bank statement is
        there: on which day it was paid is not known before.
        """
        self.ensure_one()
        return self.payment_state in PAID_STATES and not self.currency_id.is_zero(
            self.amount_residual
        )

    def _is_claimable_from_customer(self):
        """Only between businesses (directive, art. 1(2)): a company or somebody of it.

        Hook: override for sole traders, public bodies or exceptions.
        """
        self.ensure_one()
        return self.commercial_partner_id.is_company

    def _read_claims(self, policy, today, reminders=None):
        """Return {invoice: Claim} for those of these that were paid late, or are late.

        A fixed number of queries, however many there are.

        :param policy: of the sequence, "legal" or "fee"
        :param today: the last day that counts
        :param reminders: with a flat fee, these count as if they had left
        """
        moves = self.sudo().filtered(
            lambda move: move._is_claimable() and not move._is_paid_undated()
        )
        instalments = moves._read_claim_instalments()
        late = moves.filtered(
            lambda move: any(
                late_payment.is_late(*instalment, today)
                for instalment in instalments[move.id]
            )
        )
        if not late:
            return {}
        booked, convert = late._read_claim_booked(today), late._get_converter(today)
        fees = late._read_claim_fees(reminders) if policy == "fee" else {}
        laws = late._read_claim_laws() if policy == "legal" else {}
        waived = late._filter_claim_waived()
        claims = {}
        for move in late:
            law, rates = laws.get(move.company_id, (None, ()))
            claims[move] = self._prepare_claim(
                policy,
                law,
                self._get_claim_fixed(move, law, fees.get(move.id, 0.0), convert),
                self._get_claim_periods(instalments[move.id], rates, today),
                booked.get(move.id, 0.0),
                move in waived,
                move.currency_id,
            )
        return claims

    @api.model
    def _prepare_claim(self, policy, law, fixed, periods, booked, waived, currency):
        """Interest is rounded here, once for an invoice."""
        return Claim(
            policy=policy,
            law=law,
            fixed=fixed,
            interest=currency.round(late_payment.get_interest(periods)),
            booked=currency.round(booked),
            waived=waived,
            periods=periods,
        )

    @api.model
    def _get_claim_fixed(self, move, law, fee, convert):
        """EUR 40 by law, or the fees of the steps, in the invoice's currency."""
        if law:
            euro = move.company_id._get_euro()
            return convert(move, COMPENSATION_EUR, euro)
        return convert(move, fee, move.company_id.currency_id)

    @api.model
    def _get_claim_periods(self, instalments, rates, today):
        """Interest runs for each instalment by itself, from its own due date."""
        if not rates:
            return ()
        return tuple(
            period
            for amount, due_date, payments in instalments
            for period in late_payment.get_periods(
                amount, due_date, payments, rates, today
            )
        )

    def _read_claim_laws(self):
        """Return {company: (law, rates)}."""
        laws = {}
        for company in self.company_id:
            law = company._get_dunning_claim_law()
            rates = company._get_dunning_rates() if law else ()
            laws[company] = (
                law,
                [late_payment.Rate(rate.date_from, rate.rate) for rate in rates],
            )
        return laws

    def _get_converter(self, today):
        """Return a function that converts to an invoice's currency, at today's rate.

        Odoo reads a rate each time; here once for each pair of currencies. A currency
        that is not active has no rate to go by: it gives nothing.
        """
        rates = {}

        def convert(move, amount, currency):
            if not currency.active or not amount:
                return 0.0
            key = (move.company_id, currency, move.currency_id)
            if key not in rates:
                company, _from, to = key
                rates[key] = currency._get_conversion_rate(currency, to, company, today)
            return move.currency_id.round(amount * rates[key])

        return convert

    # ------------------------------------------------------------------------
    # WHAT IS READ, for all at once
    # ------------------------------------------------------------------------

    def _read_claim_instalments(self):
        """Return {invoice id: [(amount, due date, [(day, paid)…])…]}, oldest first.

        Several lines of one date are one instalment. A credit note counts from its
        date, as a payment does (account.partial.reconcile.max_date).
        """
        lines = self.env["account.move.line"].sudo()
        lines = lines.search_fetch(
            [("move_id", "in", self.ids), ("display_type", "=", "payment_term")],
            ["move_id", "date_maturity", "amount_currency"],
        )
        paid = defaultdict(list)
        for line, day, amount in (
            self.env["account.partial.reconcile"]
            .sudo()
            ._read_group(
                [("debit_move_id", "in", lines.ids)],
                ["debit_move_id", "max_date:day"],
                ["debit_amount_currency:sum"],
            )
        ):
            paid[line.id].append((day, amount))
        found = defaultdict(dict)
        for line in lines:
            move = line.move_id
            due_date = line.date_maturity or move.invoice_date_due or move.invoice_date
            amount, payments = found[move.id].get(due_date or move.date, (0.0, []))
            found[move.id][due_date or move.date] = (
                amount + line.amount_currency,
                payments + paid[line.id],
            )
        return defaultdict(
            list,
            {
                move_id: [
                    (amount, due_date, payments)
                    for due_date, (amount, payments) in sorted(instalments.items())
                ]
                for move_id, instalments in found.items()
            },
        )

    def _read_claim_fees(self, reminders=None):
        """Return {invoice id: fees, in company currency} of the steps said to each.

        Each step once, however often it was repeated and for however many instalments,
        at what it cost when it was said, and only when it has left.
        """
        rows = (
            self.env["dunning.reminder.line"]
            .sudo()
            ._read_group(
                [
                    ("move_id", "in", self.ids),
                    ("counts", "=", True),
                    ("claim_fee", ">", 0),
                    ("reminder_id.before_due", "=", False),
                    ("reminder_id.state", "=", "sent"),
                ],
                ["move_id", "step_id"],
                ["claim_fee:max"],
            )
        )
        said = {(move.id, step.id): fee for move, step, fee in rows}
        for line in reminders._get_current_lines() if reminders else ():
            key = (line.move_id._origin.id, line.step_id._origin.id)
            said[key] = max(line._get_fee(), said.get(key, 0.0))
        fees = defaultdict(float)
        for (move_id, _step_id), fee in said.items():
            fees[move_id] += fee
        return fees
