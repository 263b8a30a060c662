"""Comparison group: some customers are not reminded for some days, to see what
reminders bring.

Whether reminders work can only be said by those who get none. A share of the customers
of a sequence waits until its invoices are some days late; from then on they are
reminded as all others. Who is among them is decided by a hash, so it is the same each
day and on each machine. In the other group are all customers that the sequence follows
meanwhile. `dunning.comparison` compares the two.
"""

import zlib
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

#: Instalments in each group below which a difference may be chance.
ENOUGH = 30

#: The two groups; what nobody compares has none.
WAITING, REMINDED = "waiting", "reminded"


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    comparison_share = fields.Integer(
        string="Comparison Group (%)",
        help="Share of the customers who get no reminders by themselves at first, so "
        "that you see what reminders bring. 0: everybody is reminded.",
    )
    comparison_days = fields.Integer(
        string="Reminded After",
        default=15,
        help="Days late after which the customers of the comparison group are reminded "
        "as all others.",
    )
    comparison_left_ids = fields.Many2many(
        comodel_name="res.partner",
        relation="dunning_sequence_comparison_left_rel",
        column1="sequence_id",
        column2="partner_id",
        string="Left the Group",
        copy=False,
        help="Customers who are reminded as usual, whatever the share.",
    )
    comparison_summary = fields.Text(compute="_compute_comparison_summary")

    _check_comparison_share = models.Constraint(
        "CHECK (comparison_share BETWEEN 0 AND 50)",
        "The comparison group is a share between 0 and 50 %.",
    )
    _check_comparison_days = models.Constraint(
        "CHECK (comparison_days BETWEEN 1 AND 60)",
        "The comparison group is reminded after 1 to 60 days.",
    )

    def _get_marking_fields(self):
        names = {"comparison_share", "comparison_days", "comparison_left_ids"}
        return super()._get_marking_fields() | names

    def _get_comparison_group(self, partner_id):
        """In which group a customer is, None when nothing is compared.

        A larger share takes more customers in and lets none go.
        """
        if not self.comparison_share:
            return None
        number = zlib.crc32(f"{partner_id} {self.id}".encode()) % 100
        waits = number < self.comparison_share
        if waits and partner_id in self.comparison_left_ids.ids:
            return None
        return WAITING if waits else REMINDED

    @api.depends("comparison_share")
    @api.depends_context("lang")
    def _compute_comparison_summary(self):
        """While groups are compared: in plain words. Those who have time left, and are
        not late enough to tell, are not counted.
        """
        self.comparison_summary = False
        comparing = self.filtered("comparison_share")
        if not comparing:
            return
        found = self.env["dunning.comparison"]._read_group(
            [("sequence_id", "in", comparing.ids)],
            ["sequence_id", "comparison"],
            ["rate_15:count", "rate_15:avg", "median_days:median"],
        )
        figures = {(sequence, group): rest for sequence, group, *rest in found}
        nothing = (0, 0, 0)
        for sequence in comparing:
            sequence.comparison_summary = self._tell_comparison(
                figures.get((sequence, WAITING), nothing),
                figures.get((sequence, REMINDED), nothing),
            )

    @api.model
    def _tell_comparison(self, waiting, reminded):
        """What the figures say, and whether they say anything yet.

        :param waiting: (number, share paid within 15 days, median days) of the group
        """
        told = [
            self._tell_group(self.env._("Without reminders"), *waiting),
            self._tell_group(self.env._("With reminders"), *reminded),
        ]
        if min(waiting[0], reminded[0]) < ENOUGH:
            told.append(
                self.env._(
                    "Too few to tell: with fewer than %(number)s in a group, the "
                    "difference may be chance.",
                    number=ENOUGH,
                )
            )
        return "\n".join(told)

    @api.model
    def _tell_group(self, group, count, rate, days):
        if not count:
            return self.env._("%(group)s: none is late enough yet.", group=group)
        return self.env._(
            "%(group)s: %(count)s instalments, %(rate).0f %% paid within 15 days of "
            "the due date, median %(days).0f days.",
            group=group,
            count=count,
            rate=rate * 100,
            days=days or 0,
        )


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    comparison = fields.Selection(
        selection=[(WAITING, "Without reminders"), (REMINDED, "With reminders")],
        string="Comparison Group",
        readonly=True,
        help="Since when nobody had been reminded of it. It stays what it was.",
    )

    @api.model
    def _selection_hold_reason(self):
        words = {"comparison": self.env._("In the comparison group")}
        return [*super()._selection_hold_reason(), *words.items()]

    @api.model
    def _get_comparison_end(self, row, sequence):
        """The last day on which an instalment waits for the comparison."""
        return row["due_date"] + timedelta(days=sequence.comparison_days)

    @api.model
    def _is_compared(self, row, sequence):
        """Only what nobody has been reminded of: neither by itself nor by hand."""
        return (
            bool(sequence.comparison_share)
            and not row["last_day"]
            and row["today"] <= self._get_comparison_end(row, sequence)
        )

    @api.model
    def _get_comparison(self, row, sequence, entry):
        """The group of an instalment, as it was when that was decided."""
        kept = self._get_kept_comparison(row, sequence)
        followed = entry and sequence.state == "running"
        if kept or not followed or not self._is_compared(row, sequence):
            return kept
        return sequence._get_comparison_group(row["commercial_partner_id"])

    @api.model
    def _get_kept_comparison(self, row, sequence):
        """Each sequence compares by itself: a group of another one says nothing."""
        same = row["old_sequence_id"] == sequence.id
        return row["old_comparison"] if same else None

    @api.model
    def _get_hold_reason(self, row, sequence):
        reason = super()._get_hold_reason(row, sequence)
        if reason or not self._is_compared(row, sequence):
            return reason
        if self._get_kept_comparison(row, sequence) == REMINDED:
            return None  # a larger share takes nobody out of the other group
        group = sequence._get_comparison_group(row["commercial_partner_id"])
        return "comparison" if group == WAITING else None

    @api.model
    def _get_hold_until(self, row, sequence, reason):
        if reason == "comparison":
            return self._get_comparison_end(row, sequence)
        return super()._get_hold_until(row, sequence, reason)

    def action_leave_comparison(self):
        """Remind these customers as all others, from now on.

        :raise UserError: when they are not in the comparison group
        """
        self.check_access("read")
        self.env["dunning.hold"].check_access("create")
        waiting = self.filtered(lambda e: e.hold_reason == "comparison").sudo()
        if not waiting:
            raise UserError(
                self.env._("Only customers of the comparison group can leave it.")
            )
        for sequence, enrollments in waiting.grouped("sequence_id").items():
            customers = [(4, partner.id) for partner in enrollments.partner_id]
            sequence.comparison_left_ids = customers
        self.env["dunning.enrollment"]._reconcile(waiting.move_id)
        return True
