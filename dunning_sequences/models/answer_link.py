"""Answer link: the way from a reminder to the page where the customer answers it.

Signed, for one reminder and for this purpose only, and for some weeks. It is put into
the mail when that is made and kept nowhere: whoever reads the thread here cannot answer
for the customer.
"""

from collections import defaultdict

from odoo import api, fields, models
from odoo.tools.misc import hash_sign, verify_hash_signed

#: What the signature is for: no other link opens the page, and this one opens no other.
SCOPE = "dunning-answer"

#: Days for which a link works.
ANSWER_DAYS = 60


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    answer_links = fields.Boolean(
        string="Answers by a Click",
        default=True,
        help="Shows links below each e-mail: already paid, will pay on…, there is a "
        "problem, write to somebody else. No login is needed.",
    )


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    answer = fields.Selection(
        selection=lambda self: self.env["dunning.answer"]._selection_kind(),
        readonly=True,
        copy=False,
        help="What the customer said last, by a click in the e-mail.",
    )
    answer_ids = fields.One2many(
        comodel_name="dunning.answer",
        inverse_name="reminder_id",
        string="Answers",
        readonly=True,
    )

    def _has_answer_links(self):
        """Hook: override to decide otherwise. A test message is about nothing."""
        if self.channel != "email" or self.env.context.get("dunning_sample"):
            return False
        return not self.sequence_id or self.sequence_id.answer_links

    def _get_answer_kinds(self):
        """Return (kind, words) in the customer's language: the links of the mail."""
        self.ensure_one()
        env = self.with_context(lang=self.lang or self.env.lang).env
        words = {
            "paid": env._("I have paid"),
            "promise": env._("I will pay on…"),
            "problem": env._("There is a problem"),
            "address": env._("Write to somebody else"),
        }
        return list(words.items())

    def _get_answer_url(self):
        """Return the link of this reminder, nothing when it has none."""
        self.ensure_one()
        if not self.id or not self._has_answer_links():
            return ""
        token = hash_sign(
            self.sudo().env, SCOPE, self.id, expiration_hours=ANSWER_DAYS * 24
        )
        return f"{self.move_id.get_base_url()}/dunning/answer/{token}"

    @api.model
    def _find_answered(self, token):
        """The reminder that a link is about; none when it is not ours, or too old."""
        try:
            reminder_id = verify_hash_signed(self.sudo().env, SCOPE, token)
        except (ValueError, IndexError):  # no base64, no version, no text, no JSON
            reminder_id = None
        if not isinstance(reminder_id, int):
            return self.browse()
        reminder = self.sudo().browse(reminder_id).exists()
        return reminder.filtered(
            lambda r: (
                r.state in ("queued", "sent", "doubtful", "bounced")
                and r._has_answer_links()
            )
        )

    def _get_last_answer(self, kind=None):
        """What was said last; of a kind, if one is named."""
        self.ensure_one()
        answers = self.answer_ids.sorted("id", reverse=True)
        return answers.filtered(lambda answer: kind in (None, answer.kind))[:1]

    def _get_answerable_moves(self):
        """The invoices of this reminder on which something is open."""
        rows = self._get_answer_rows()
        return self.env["account.move"].union(
            *(row["move"] for row in rows if row["is_open"])
        )

    def _get_open_amounts(self, moves):
        """Return {currency: what is open now of some of its invoices}."""
        amounts = defaultdict(float)
        for row in self._get_answer_rows():
            if row["is_open"] and row["move"] in moves:
                amounts[row["currency"]] += row["value"]
        return amounts

    def _get_answer_rows(self):
        """What the page shows: the instalments of this reminder as of now, no others.

        :return: dicts, the paid ones included
        """
        self.ensure_one()
        lines = self._get_current_lines()
        today = self.company_id._dunning_today()
        Enrollment = self.env["dunning.enrollment"].sudo()
        found = Enrollment._read_instalments(lines.move_id.ids, today, {})
        by_key = {(row["move_id"], row["due_date"]): row for row in found}
        rows = [
            self._prepare_answer_row(line, by_key.get((line.move_id.id, line.due_date)))
            for line in lines
        ]
        return [row for row in rows if row]

    def _prepare_answer_row(self, line, row):
        """Hook: override to show more.

        That nobody is reminded of it any more does not mean that it is paid: only what
        is paid is called settled, and what is no invoice any more is not shown.

        :param row: the instalment, None when there is none any more
        """
        move = line.move_id
        over = row and self.env["dunning.enrollment"]._get_over_reason(row)
        if not row or over in ("cancelled", "gone"):
            return None
        is_open = over not in ("paid", "reversed") and move.state == "posted"
        amount = float(row["residual_currency"]) if is_open else 0
        return {
            **self._prepare_table_row(move, line.due_date, amount),
            "move": move,
            "is_open": is_open and amount > 0,
            "can_pay": is_open and move._has_to_be_paid(),
        }
