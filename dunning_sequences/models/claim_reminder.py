"""Claim in a reminder: below what is due, what is due for paying late.

Read when the text is written and, as all that a text rests on, again when it leaves:
interest grows by day, and what was waived or booked since is not asked for.
"""

from odoo import api, fields, models


class DunningReminderLine(models.Model):
    _inherit = "dunning.reminder.line"

    claim_fee = fields.Float(
        string="Fee",
        readonly=True,
        help="That of the step when this was written, in company currency: what it "
        "costs later is not asked for what was said before.",
    )

    def _get_fee(self):
        """What is charged for it; a preview has noted nothing yet."""
        self.ensure_one()
        return self.claim_fee if self._origin else self.step_id.sudo().claim_fee


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    claims = fields.Json(
        compute="_compute_claims",
        help="What the customer is asked for, beside the invoices, for paying late.",
    )
    claim_amount = fields.Char(
        string="Late-payment claim", compute="_compute_merge_fields"
    )
    claim_source = fields.Char(
        string="Law of the claim", compute="_compute_merge_fields"
    )

    @api.depends("line_ids.dropped", "sequence_id", "date")
    def _compute_claims(self):
        """For all at once; nothing is read where no sequence claims anything."""
        self.claims = False
        claiming = self.filtered(lambda reminder: reminder._is_claiming())
        for (company, today, policy), reminders in claiming.grouped(
            lambda r: (r.company_id, r.date, r.sequence_id.claim_policy)
        ).items():
            moves = reminders._get_current_lines().move_id._origin
            found = moves.with_company(company)._read_claims(policy, today, reminders)
            for reminder in reminders:
                reminder.claims = [
                    reminder._prepare_claim(move, found[move])
                    for move in reminder._get_current_lines().move_id._origin
                    if move in found
                ]

    def _is_claiming(self):
        """A courtesy notice does not dun. Hook."""
        self.ensure_one()
        claims = self.sequence_id.claim_policy not in (False, "none")
        return bool(claims and self.date and not self.before_due)

    @api.model
    def _prepare_claim(self, move, claim):
        """Plain values of what is left of the claim of an invoice."""
        periods = [period for period in claim.periods if period.percent]
        return {
            "move_id": move.id,
            "law": claim.law,
            "fixed": claim.fixed_left,
            "interest": claim.interest_left,
            "days": len({day for p in periods for day in _get_days(p)}),
            "percents": list(dict.fromkeys(period.percent for period in periods)),
        }

    def _prefetch_content(self):
        res = super()._prefetch_content()
        self.mapped("claims")
        return res

    def _get_fingerprint_facts(self):
        """A text that somebody wrote himself names the claim of its day. It stays true,
        unless the claim was waived or booked since.
        """
        facts = super()._get_fingerprint_facts()
        if self.own_text == "written":
            return facts + [c["move_id"] for c in self.claims or () if not _is_left(c)]
        return facts + [value for c in self.claims or () for value in c.values()]

    @api.model
    def _prepare_line_vals(self, enrollment):
        vals = super()._prepare_line_vals(enrollment)
        if enrollment.sequence_id.claim_policy != "fee":
            return vals
        return {**vals, "claim_fee": enrollment.next_step_id.claim_fee}

    # ------------------------------------------------------------------------
    # CONTENT
    # ------------------------------------------------------------------------

    def _get_merge_values(self):
        return {
            **super()._get_merge_values(),
            "claim_amount": self._format_totals(self._get_claim_rows()),
            "claim_source": self._get_claim_sources(),
        }

    def _prepare_table_values(self, lines):
        """Below what is due, and in none of its sums."""
        rows = self._get_claim_rows()
        return {
            **super()._prepare_table_values(lines),
            "claims": rows,
            "claim_title": rows and self._get_claim_title(),
            "claim_total": len(rows) > 1 and self._format_totals(rows),
        }

    def _get_claim_title(self):
        values = {
            "date": self._format_date(self.date),
            "rule": self._get_claim_sources(),
        }
        if not values["rule"]:
            return self.env._("In addition, reminder fees as of %(date)s:", **values)
        return self.env._(
            "In addition, because of the late payment, as of %(date)s (%(rule)s):",
            **values,
        )

    def _get_claim_sources(self):
        """The law of what is asked for, as the customer reads it."""
        laws = {claim["law"] for claim in self.claims or () if _is_left(claim)}
        Move = self.env["account.move"]
        return ", ".join(Move._get_claim_source(law) for law in laws if law)

    def _get_claim_rows(self):
        """Return the rows of the table: one for each invoice and kind of claim."""
        rows = []
        claims = self.claims or ()
        moves = {move.id: move for move in self.move_ids._origin} if claims else {}
        for claim in claims:
            move = moves[claim["move_id"]]
            for label, amount in (
                (self._get_fixed_label(claim), claim["fixed"]),
                (self._get_interest_label(claim), claim["interest"]),
            ):
                if amount:
                    rows.append(self._prepare_claim_row(move, label, amount))
        return rows

    def _prepare_claim_row(self, move, label, amount):
        """Hook: override to show more of a claim."""
        return {
            "name": move.name,
            "label": label,
            "amount": self._format_amount(amount, move.currency_id),
            "value": amount,
            "currency": move.currency_id,
        }

    def _get_fixed_label(self, claim):
        if claim["law"]:
            return self.env._("Fixed compensation for recovery costs")
        return self.env._("Reminder fees")

    def _get_interest_label(self, claim):
        Rate = self.env["dunning.interest.rate"]
        rates = [f"{Rate._format_rate(percent)} %" for percent in claim["percents"]]
        values = {"days": claim["days"], "rates": ", ".join(rates)}
        if claim["days"] == 1:
            return self.env._("Late-payment interest, 1 day at %(rates)s", **values)
        return self.env._("Late-payment interest, %(days)s days at %(rates)s", **values)


def _is_left(claim):
    return claim["fixed"] or claim["interest"]


def _get_days(period):
    return range(period.first.toordinal(), period.last.toordinal() + 1)
