"""Notify: tell the responsible what waits for a person.

Not one activity per reminder: a hundred reminders to approve are one thing to do. At
most one a day: who has done his, and left some for tomorrow, is not told again.
"""

from odoo import api, models


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def _notify_responsibles(self):
        """Keep one activity per sequence for its responsible while something waits."""
        waiting = dict(
            self.sudo()._read_group(
                [("state", "=", "todo"), ("sequence_id.user_id", "!=", False)],
                ["sequence_id"],
                ["__count"],
            )
        )
        Sequence = self.env["dunning.sequence"].sudo()
        told = Sequence._get_told()
        (told - Sequence.union(*waiting)).activity_unlink(
            ["mail.mail_activity_data_todo"]
        )
        for sequence, count in waiting.items():
            today = sequence.company_id._dunning_today()
            if sequence not in told and sequence.told_on != today:
                sequence.told_on = today
                sequence._schedule_todo(count)


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    @api.model
    def _get_told(self):
        """Sequences whose responsible has such an activity already."""
        activities = self.env["mail.activity"].search(
            [
                ("res_model", "=", self._name),
                ("automated", "=", True),
                (
                    "activity_type_id",
                    "=",
                    self.env.ref("mail.mail_activity_data_todo").id,
                ),
            ]
        )
        return self.browse(activities.mapped("res_id"))

    def _schedule_todo(self, count):
        self.ensure_one()
        env = self.with_context(lang=self.user_id.lang).env
        self.activity_schedule(
            "mail.mail_activity_data_todo",
            user_id=self.user_id.id,
            summary=env._("%(count)s reminders need you", count=count),
            note=env._("See Customers > Payment Reminders > To Do."),
        )
