"""Notify: tell those responsible what waits for a person.

Not one activity per reminder: a hundred reminders to approve are one thing to do. One
per responsible, and at most one a day: who has done his, and left some for tomorrow,
is not told again.
"""

from collections import Counter

from odoo import api, fields, models


class ResUsers(models.Model):
    _inherit = "res.users"

    dunning_told_on = fields.Date(
        groups="base.group_user",
        readonly=True,
        help="Day on which he was last told what waits for him.",
    )


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def _notify_responsibles(self):
        """Keep one activity for each responsible while something waits for him."""
        counts, sequences = self.sudo()._get_waiting()
        Sequence = self.env["dunning.sequence"].sudo()
        told = Sequence._get_todo_activities().grouped("user_id")
        for user, activities in told.items():
            if user not in counts:
                activities.unlink()
        for user, count in counts.items():
            sequence = sequences[user]
            today = sequence.company_id._dunning_today()
            if user not in told and user.dunning_told_on != today:
                user.sudo().dunning_told_on = today
                sequence._schedule_todo(user, count)

    @api.model
    def _get_waiting(self):
        """Return ({responsible: how much waits}, {responsible: a sequence of his}).

        Steps that are activities are on somebody's list already, unless theirs was
        archived or deleted, or asks nobody.
        """
        lost = self.env["dunning.reminder"]._search_lost_activities().line_ids
        lost = {(line.move_id, line.due_date) for line in lost}
        counts, sequences = Counter(), {}
        for enrollment in self.search([("state", "=", "todo")]):
            key = (enrollment.move_id, enrollment.due_date)
            if enrollment.hold_reason == "activity" and key not in lost:
                continue
            customer = enrollment.partner_id.with_company(enrollment.company_id)
            sequence = enrollment.sequence_id
            user = customer.dunning_user_id or sequence._get_responsible()
            if user:
                counts[user] += 1
                sequences.setdefault(user, sequence)
        return counts, sequences


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    @api.model
    def _search_lost_activities(self):
        """Calls and visits that nobody is asked for (any more)."""
        todo = self.search([("state", "=", "to_do")])
        return todo.filtered(
            lambda reminder: (
                not reminder.activity_id.active or not reminder.activity_id.user_id
            )
        )


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    @api.model
    def _get_todo_activities(self):
        """The open activities by which responsibles were told."""
        todo = self.env.ref("mail.mail_activity_data_todo")
        return self.env["mail.activity"].search(
            [
                ("res_model", "=", self._name),
                ("automated", "=", True),
                ("activity_type_id", "=", todo.id),
            ]
        )

    def _schedule_todo(self, user, count):
        self.ensure_one()
        env = self.with_context(lang=user.lang).env
        if count == 1:
            summary = env._("1 reminder needs you")
        else:
            summary = env._("%(count)s reminders need you", count=count)
        self.with_context(**self._get_telling_context(user)).activity_schedule(
            "mail.mail_activity_data_todo",
            user_id=user.id,
            summary=summary,
            note=env._("See Customers > Payment Reminders > To Do."),
        )

    def _get_telling_context(self, user):
        """Who has only started it finds it among his activities, without a mail."""
        only_started = user == self.started_by_id and user != self.user_id
        return {"mail_activity_quick_update": only_started}
