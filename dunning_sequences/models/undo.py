"""Undo: take back what a person decided about a reminder.

A mail that has left cannot be taken back; what only counts as done can.
"""

from odoo import models
from odoo.exceptions import UserError
from odoo.tools import SQL


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _is_undoable(self):
        """Decided by a person, nothing has left, and nothing came after it."""
        self.ensure_one()
        if self.state == "queued":
            return self.origin == "approved"
        return self.state in ("skipped", "recorded") and self._is_last()

    def _is_last(self):
        """No later reminder of these instalments counts."""
        mine = self._get_current_lines()
        keys = {(line.move_id, line.due_date) for line in mine}
        later = mine.move_id.sudo().dunning_reminder_line_ids.filtered(
            lambda line: (
                line.counts and line.id > max(mine.ids) and line.reminder_id != self
            )
        )
        return not any((line.move_id, line.due_date) in keys for line in later)

    def _undo(self):
        approved = self.filtered(lambda reminder: reminder.state == "queued")
        approved._lock_for_decision("queued")
        approved._check_not_handed_over()
        approved.write({"state": "to_approve", "origin": "auto", "approved_by": False})
        approved._drop_message()
        reason = self.env._("Undone by %(user)s.", user=self.env.user.name)
        (self - approved)._cancel(reason)
        self._after_decision()

    def _check_not_handed_over(self):
        """The journal says that it may have left: it is no longer ours to take back.

        :raise UserError: to say so
        """
        if self._filter_handed_over():
            raise UserError(
                self.env._(
                    "The reminder was just handed to the mail server: it can no longer "
                    "be kept from leaving."
                )
            )

    def _filter_handed_over(self):
        """Those whose hand-over is in the journal, without an answer."""
        self.env.flush_all()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT reminder.id FROM dunning_reminder reminder
                  JOIN dunning_attempt attempt
                    ON attempt.message_id = reminder.message_id
                   AND attempt.attempt = reminder.attempt + 1
                 WHERE reminder.id = ANY(%s)
                """,
                self.ids,
            )
        )
        return self.browse([reminder_id for (reminder_id,) in rows])

    def _confirm_sent(self):
        self.write({"state": "sent", "failure_reason": False})
        self._set_notifications("sent")
        self._after_decision()
