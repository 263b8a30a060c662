"""Claim of an invoice: shown on it, booked on request, waived with a reason.

Nothing is booked by itself. A person makes a draft invoice of what is left of the
claim, checks it and posts it; what other invoices claim already is taken off.
"""

from collections import defaultdict

from odoo import Command, api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date, formatLang

from .account_move import BILLING
from .res_company import INTERNAL


class ResCompany(models.Model):
    _inherit = "res.company"

    dunning_claim_account_id = fields.Many2one(
        groups=INTERNAL,
        comodel_name="account.account",
        string="Late-Payment Income Account",
        domain="[('account_type', 'in', ('income', 'income_other'))]",
        check_company=True,
        help="Where compensation, interest and fees for late payment are booked. "
        "Empty: the income account of the invoice's journal.",
    )


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    dunning_claim_account_id = fields.Many2one(
        related="company_id.dunning_claim_account_id", readonly=False
    )


class AccountMove(models.Model):
    _inherit = "account.move"

    dunning_claim_of_id = fields.Many2one(
        groups=BILLING,
        comodel_name="account.move",
        string="Late-Payment Claim For",
        copy=False,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        check_company=True,
        help="The invoice whose late payment this one claims for.",
    )
    dunning_claim_move_ids = fields.One2many(
        groups=BILLING,
        comodel_name="account.move",
        inverse_name="dunning_claim_of_id",
        string="Late-Payment Invoices",
        readonly=True,
    )
    dunning_claim_waiver_ids = fields.One2many(
        groups=BILLING,
        comodel_name="dunning.claim.waiver",
        inverse_name="move_id",
        string="Claim Waivers",
        readonly=True,
    )
    dunning_claim_fixed = fields.Monetary(
        groups=BILLING,
        string="Compensation or Fees",
        compute="_compute_dunning_claim",
        help="For paying late, as of today: EUR 40 once for an invoice, or the fees of "
        "the steps that reached the customer.",
    )
    dunning_claim_interest = fields.Monetary(
        groups=BILLING, string="Interest until Today", compute="_compute_dunning_claim"
    )
    dunning_claim_booked = fields.Monetary(
        groups=BILLING,
        string="Invoiced",
        compute="_compute_dunning_claim",
        help="By late-payment invoices that are not cancelled or reversed.",
    )
    dunning_claim_left = fields.Monetary(
        groups=BILLING, string="Left to Claim", compute="_compute_dunning_claim"
    )
    dunning_claim_waived = fields.Char(
        groups=BILLING,
        string="Waived",
        compute="_compute_dunning_claim",
        help="By whom, when and why.",
    )
    dunning_claim_detail = fields.Text(
        groups=BILLING,
        string="Calculation",
        compute="_compute_dunning_claim",
        help="Balance x yearly rate x days / 365, for each run of days on which both "
        "stay the same.",
    )

    dunning_claim_problem = fields.Char(
        groups=BILLING,
        compute="_compute_dunning_claim",
        help="What is missing to calculate the claim.",
    )

    _dunning_claim_once = models.UniqueIndex(
        "(dunning_claim_of_id)"
        " WHERE state = 'draft' AND dunning_claim_of_id IS NOT NULL",
        "There is a draft late-payment invoice already. Post it or delete it first.",
    )

    # ------------------------------------------------------------------------
    # SHOWN
    # ------------------------------------------------------------------------

    @api.depends_context("lang")
    def _compute_dunning_claim(self):
        """As of the company's today: it grows by day, so nothing is kept, and who
        registers a payment has no work with it.
        """
        for name in ("fixed", "interest", "booked", "left"):
            self[f"dunning_claim_{name}"] = 0.0
        for name in ("waived", "detail", "problem"):
            self[f"dunning_claim_{name}"] = False
        claims = self._origin._read_current_claims()
        for move in self.filtered(lambda move: move._origin in claims):
            claim = claims[move._origin]
            move.dunning_claim_fixed = claim.fixed
            move.dunning_claim_interest = claim.interest
            move.dunning_claim_booked = claim.booked
            move.dunning_claim_left = claim.left
            move.dunning_claim_waived = claim.waived and move._get_waived_text()
            move.dunning_claim_detail = move._get_claim_detail(claim)
            move.dunning_claim_problem = move._get_claim_problem(claim)

    def _read_current_claims(self):
        """Return {invoice: Claim} as of today, by the sequences that these follow."""
        groups = defaultdict(self.browse)
        for move, policy in self._get_claim_policies().items():
            groups[move.company_id, policy] += move
        claims = {}
        for (company, policy), moves in groups.items():
            claims.update(moves._read_claims(policy, company._dunning_today()))
        return claims

    def _get_claim_policies(self):
        """Return {invoice: policy of its sequence}, without those that claim nothing.

        What was paid late still has the sequence that it followed.
        """
        sales = self._filter_dunning_sales()
        if not sales.ids:
            return {}
        found = (
            self.env["dunning.enrollment"]
            .sudo()
            .search_fetch(
                [
                    ("move_id", "in", sales.ids),
                    ("sequence_id.claim_policy", "!=", "none"),
                    ("sequence_id", "!=", False),
                ],
                ["move_id", "sequence_id"],
            )
        )
        return {e.move_id: e.sequence_id.claim_policy for e in found}

    def _get_waived_text(self):
        self.ensure_one()
        waiver = self.sudo().dunning_claim_waiver_ids.filtered(
            lambda waiver: not waiver.undone_on
        )[:1]
        return self.env._(
            "%(reason)s (%(user)s, %(date)s)",
            reason=waiver.reason,
            user=waiver.user_id.name,
            date=format_date(self.env, waiver.waived_on),
        )

    def _get_claim_detail(self, claim):
        """The calculation and the law: one line each."""
        self.ensure_one()
        lines = [self._get_period_text(period) for period in claim.periods]
        return "\n".join(filter(None, [*lines, self._get_claim_source(claim.law)]))

    def _get_claim_problem(self, claim):
        self.ensure_one()
        company = self.company_id
        by_law = claim.policy == "legal"
        return by_law and company._get_dunning_claim_problem(company._dunning_today())

    def _get_period_text(self, period):
        """Such as "02/06/2026 – 02/10/2026: $ 100.00 × 12.15 % × 5 / 365 = $ 0.17"."""
        currency, interest = self.currency_id, self.currency_id.round(period.interest)
        return self.env._(
            "%(first)s – %(last)s: %(balance)s × %(rate)s %% × %(days)s / 365 = "
            "%(interest)s",
            first=format_date(self.env, period.first),
            last=format_date(self.env, period.last),
            balance=formatLang(self.env, period.balance, currency_obj=currency),
            rate=self.env["dunning.interest.rate"]._format_rate(period.percent),
            days=period.days,
            interest=formatLang(self.env, interest, currency_obj=currency),
        )

    @api.model
    def _get_claim_source(self, law):
        """The rule by which it is due, as a customer reads it. Hook."""
        if law == "fr":
            return self.env._("art. L441-10 and D441-5 C. com.")
        return self.env._("directive 2011/7/EU") if law == "eu" else ""

    # ------------------------------------------------------------------------
    # BOOKED
    # ------------------------------------------------------------------------

    def _read_claim_booked(self, today):
        """Return {invoice id: what late-payment invoices claim}, in its currency.

        One that was cancelled, or reversed in full, claims nothing any more; one that
        was credited in part claims the rest.
        """
        claims = self.env["account.move"].sudo()
        claims = claims.search_fetch(
            [
                ("dunning_claim_of_id", "in", self.ids),
                ("state", "!=", "cancel"),
                ("payment_state", "!=", "reversed"),
            ],
            ["dunning_claim_of_id", "amount_total", "currency_id"],
        )
        convert, booked = self._get_converter(today), defaultdict(float)
        for claim, amount in claims._read_claim_amounts().items():
            origin = claim.dunning_claim_of_id
            if claim.currency_id != origin.currency_id:
                amount = convert(origin, amount, claim.currency_id)
            booked[origin.id] += amount
        return booked

    def _read_claim_amounts(self):
        """Return {invoice of a claim: its total less the credit notes of it}."""
        amounts = {claim: claim.amount_total for claim in self}
        if not self:
            return amounts
        for claim, currency, amount in self._read_group(
            [("reversed_entry_id", "in", self.ids), ("state", "=", "posted")],
            ["reversed_entry_id", "currency_id"],
            ["amount_total:sum"],
        ):
            if currency == claim.currency_id:  # Odoo makes them in the same one
                amounts[claim] = max(amounts[claim] - amount, 0.0)
        return amounts

    def action_dunning_claim_book(self):
        """Make a draft invoice of what is left of the claim, and open it.

        :raise UserError: when there is nothing left, or it was waived
        """
        self.ensure_one()
        self.env["dunning.hold"].check_access("create")
        self.check_access("read")
        draft = self.dunning_claim_move_ids.filtered(lambda m: m.state == "draft")[:1]
        return (draft or self._create_claim_move())._get_records_action(
            name=self.env._("Late-Payment Invoice")
        )

    def _create_claim_move(self):
        claim = self._read_current_claims().get(self)
        if claim and claim.waived:
            raise UserError(
                self.env._(
                    "This claim was waived: %(why)s. Undo that first.",
                    why=self._get_waived_text(),
                )
            )
        if not claim or not claim.left:
            raise UserError(
                self.env._(
                    "There is nothing to claim: the invoice was paid in time, its "
                    "sequence claims nothing, or all is invoiced already."
                )
            )
        vals = self._prepare_claim_move_vals(claim)
        move = self.with_company(self.company_id).create(vals)
        self._note_claim_move(move)
        self._dunning_mark()
        return move

    def _prepare_claim_move_vals(self, claim):
        """Hook: override to book otherwise."""
        self.ensure_one()
        env = self.with_context(lang=self.partner_id.lang or self.env.lang).env
        return {
            "move_type": "out_invoice",
            "partner_id": self.partner_id.id,
            "company_id": self.company_id.id,
            "currency_id": self.currency_id.id,
            "journal_id": self.journal_id.id,
            "invoice_origin": self.name,
            "dunning_claim_of_id": self.id,
            "invoice_line_ids": [
                Command.create(vals)
                for vals in self.with_env(env)._prepare_claim_lines(claim)
            ],
        }

    def _prepare_claim_lines(self, claim):
        """A line for the compensation or the fees, one for the interest.

        A compensation and interest for late payment pay for no supply: they are out of
        the scope of VAT (Court of Justice, case 222/81), so without taxes.
        """
        rule = self._get_claim_source(claim.law)
        values = {"invoice": self.name, "rule": rule}
        if claim.law:
            fixed = self.env._(
                "Compensation for recovery costs, %(invoice)s (%(rule)s)", **values
            )
        else:
            fixed = self.env._("Reminder fees, %(invoice)s", **values)
        today = self.company_id._dunning_today()
        interest = self.env._(
            "Late-payment interest until %(date)s, %(invoice)s (%(rule)s)",
            date=format_date(self.env, today),
            **values,
        )
        details = [self._get_period_text(period) for period in claim.periods]
        before = claim.interest - claim.interest_left
        if before:
            amount = formatLang(self.env, before, currency_obj=self.currency_id)
            details.append(self.env._("Invoiced before: %(amount)s", amount=amount))
        return [
            self._prepare_claim_line(name, amount)
            for name, amount in (
                (fixed, claim.fixed_left),
                ("\n".join((interest, *details)), claim.interest_left),
            )
            if amount
        ]

    def _prepare_claim_line(self, name, amount):
        """Hook."""
        account = self.company_id.sudo().dunning_claim_account_id
        return {
            "name": name,
            "quantity": 1,
            "price_unit": amount,
            "tax_ids": [Command.clear()],
            "account_id": (account or self.journal_id.sudo().default_account_id).id,
        }

    def _note_claim_move(self, move):
        """On both invoices, for ourselves."""
        made = self.env._(
            "Late-payment invoice made: %(invoice)s", invoice=move._get_html_link()
        )
        why = self.env._(
            "Claims for the late payment of %(invoice)s", invoice=self._get_html_link()
        )
        self.message_post(body=made, subtype_xmlid="mail.mt_note")
        move.message_post(body=why, subtype_xmlid="mail.mt_note")

    # ------------------------------------------------------------------------
    # WAIVED
    # ------------------------------------------------------------------------

    def _filter_claim_waived(self):
        """Those whose claim somebody has waived."""
        waivers = (
            self.env["dunning.claim.waiver"]
            .sudo()
            .search_fetch(
                [("move_id", "in", self.ids), ("undone_on", "=", False)], ["move_id"]
            )
        )
        return waivers.move_id

    def action_dunning_claim_waive(self):
        """Ask why nothing is claimed for this invoice."""
        self.ensure_one()
        self.env["dunning.claim.waiver"].check_access("create")
        self.check_access("read")
        return self.env["dunning.claim.waiver"]._get_records_action(
            name=self.env._("Waive the Late-Payment Claim"),
            target="new",
            context={"default_move_id": self.id},
        )

    def action_dunning_claim_restore(self):
        """Claim again what was waived.

        :raise UserError: when nothing was
        """
        self.env["dunning.claim.waiver"].check_access("create")
        self.check_access("read")
        waivers = self.dunning_claim_waiver_ids.filtered(lambda w: not w.undone_on)
        if not waivers:
            raise UserError(self.env._("The claim of this invoice was not waived."))
        waivers._undo()
        return True


class AccountMoveReversal(models.TransientModel):
    _inherit = "account.move.reversal"

    def _modify_default_reverse_values(self, origin_move):
        """The invoice that replaces that of a claim is one, too, and booked as such."""
        values = super()._modify_default_reverse_values(origin_move)
        claimed = origin_move.sudo().dunning_claim_of_id
        return {**values, "dunning_claim_of_id": claimed.id}
