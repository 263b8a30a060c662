"""Broken promise: the first reminder after it says so, in a sentence of its own.

Asked anew whenever a text is written: who has paid meanwhile is not told so.
"""

from odoo import api, fields, models
from odoo.tools import format_date, formatLang


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    broken_promise_id = fields.Many2one(
        comodel_name="dunning.hold",
        string="Promise Broken Before",
        compute="_compute_broken_promise_id",
        help="What the customer had promised, did not pay, and was not reminded of "
        "since.",
    )
    broken_promise = fields.Char(compute="_compute_merge_fields")
    broken_promise_amount = fields.Char(compute="_compute_merge_fields")
    broken_promise_date = fields.Char(compute="_compute_merge_fields")

    @api.depends("line_ids.dropped", "partner_id")
    def _compute_broken_promise_id(self):
        self.broken_promise_id = False
        moves = self.line_ids.move_id._origin
        promises = self._search_closed_promises(moves)
        if "broken" not in promises.mapped("outcome"):
            return
        promises._prefetch_paid()
        Line = self.env["dunning.reminder.line"].sudo()
        said = Line.search_fetch(
            [("move_id", "in", moves.ids), ("counts", "=", True)],
            ["move_id", "reminder_id"],
        ).grouped("move_id")
        for reminder in self:
            mine = reminder._get_current_lines().move_id._origin
            about = promises.filtered(
                lambda p, mine=mine, reminder=reminder: (
                    p.move_ids & mine
                    or p.partner_id
                    and (p.partner_id, p.company_id)
                    == (reminder.partner_id, reminder.company_id)
                )
            )
            lines = Line.union(*(said[move] for move in mine if move in said))
            # Of several, his last word counts.
            if about and reminder._is_first_after(about[0], lines):
                reminder.broken_promise_id = about[0]

    def _search_closed_promises(self, moves):
        """Those that were kept or broken, of these invoices and their customers."""
        return (
            self.env["dunning.hold"]
            .sudo()
            .search(
                [
                    ("kind", "=", "promise"),
                    ("outcome", "in", ("kept", "broken")),
                    "|",
                    ("move_ids", "in", moves.ids),
                    "&",
                    ("partner_id", "in", self.partner_id.ids),
                    ("company_id", "in", self.company_id.ids),
                ],
                order="closed_on desc, until desc, id desc",
            )
        )

    def _is_first_after(self, promise, lines):
        """Was it broken since the last reminder, and is it still unpaid?

        :param lines: of the reminders of the same invoices that count
        """
        earlier = lines.reminder_id.filtered(
            lambda other: (
                other != self._origin
                and (not self._origin or other.id < self._origin.id)
                and (other.sent_on or other.date) >= promise.closed_on
            )
        )
        return promise.outcome == "broken" and not earlier and not promise._is_kept()

    def _prefetch_content(self):
        res = super()._prefetch_content()
        self.mapped("broken_promise_id")
        return res

    def _get_fingerprint_facts(self):
        facts = super()._get_fingerprint_facts()
        promise = self.broken_promise_id
        if promise:
            facts += ["broken promise", promise.id, promise._get_paid_of_it()]
        return facts

    def _get_merge_values(self):
        promise = self.broken_promise_id
        words = promise._get_broken_words() if promise else {}
        return {
            **super()._get_merge_values(),
            "broken_promise": self._get_broken_promise_text(words) if words else "",
            "broken_promise_amount": words.get("amount", ""),
            "broken_promise_date": words.get("date", ""),
        }

    def _get_broken_promise_text(self, words):
        """The sentence for the customer. Hook: override to say it otherwise."""
        if self.broken_promise_id._get_paid_of_it():
            return self.env._(
                "You had promised to pay %(amount)s by %(date)s; we have received "
                "%(paid)s of it.",
                **words,
            )
        return self.env._(
            "You had promised to pay %(amount)s by %(date)s; we have not received it.",
            **words,
        )


class DunningHold(models.Model):
    _inherit = "dunning.hold"

    def _get_broken_words(self):
        """What was promised, for when, and what was paid of it as of now: formatted."""
        self.ensure_one()
        amounts = {"amount": self.amount, "paid": self._get_paid_of_it()}
        return {
            "date": format_date(self.env, self.until),
            **{
                name: formatLang(self.env, amount, currency_obj=self.currency_id)
                for name, amount in amounts.items()
            },
        }
