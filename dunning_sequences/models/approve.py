"""Approve: let a person decide about reminders that were written for it."""

from odoo import api, models
from odoo.exceptions import UserError
from odoo.tools import SQL

from .compose import READY_STATES
from .dunning_reminder import STATES_PENDING


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _approve(self):
        """Queue reminders to approve, with what is true now.

        :return: those whose text changed since it was proposed
        """
        self._lock_for_decision()
        approved, changed = self.browse(), self.browse()
        for company, group in self.grouped("company_id").items():
            group = group.with_company(company)
            today = company._dunning_today()
            facts = group._read_facts(today)
            for reminder in group:
                before = (reminder.subject, reminder.body)
                if not reminder._recheck_content(today, facts):
                    continue
                approved += reminder
                if before != (reminder.subject, reminder.body):
                    changed += reminder
        for channel, group in approved.grouped("channel").items():
            group.write(group._prepare_approved_vals(READY_STATES[channel]))
        approved._release()
        self._after_decision()
        return changed

    def _prepare_approved_vals(self, state):
        return {
            "state": state,
            "origin": "approved",
            "approved_by": self.env.uid,
            "failure_reason": False,
        }

    def _skip(self):
        """Count as done what is not to be sent."""
        self._lock_for_decision()
        for company, reminders in self.grouped("company_id").items():
            reminders.write({"state": "skipped", "sent_on": company._dunning_today()})
        self._drop_activities()
        self._after_decision()

    def _lock_for_decision(self, *states):
        """Two people click at once: one of them decides.

        The rows are written, not only locked: who looked before we are done, and asks
        afterwards, must look again.

        :param states: those that can be decided about; default: what waits for a person
        :raise UserError: for the other one
        """
        self.env.flush_all()
        rows = self.env.execute_query(
            SQL(
                """
                UPDATE dunning_reminder SET write_date = write_date
                 WHERE id IN (
                       SELECT id FROM dunning_reminder
                        WHERE id = ANY(%s) AND state = ANY(%s)
                          FOR NO KEY UPDATE SKIP LOCKED)
             RETURNING id
                """,
                self.ids,
                list(states or STATES_PENDING),
            )
        )
        if len(rows) == len(self):
            moves = self.line_ids.move_id
            # Whoever pays now is done before we look, or waits until we are.
            self.env.cr.execute(
                "SELECT id FROM account_move WHERE id = ANY(%s) FOR SHARE", [moves.ids]
            )
        else:
            raise UserError(
                self.env._("Somebody else is deciding about these reminders.")
            )

    def _after_decision(self):
        for company, reminders in self.grouped("company_id").items():
            self.env["dunning.enrollment"]._reconcile(
                reminders.line_ids.move_id, company._dunning_today()
            )
        self.filtered(lambda r: r.state == "queued")._trigger_delivery()

    @api.model
    def _cancel_over(self, move_ids):
        """Take instalments that are over out of what waits for a person."""
        reminders = self.search(
            [("state", "in", STATES_PENDING), ("line_ids.move_id", "in", move_ids)]
        )
        for company, group in reminders.grouped("company_id").items():
            lines = group.line_ids.filtered(lambda line: not line.dropped)
            objections, _amounts = lines.reminder_id._get_objections(
                lines, company._dunning_today(), only_over=True
            )
            labels = self.env["dunning.enrollment"]._get_reason_labels
            for line in lines:
                if line.id in objections:
                    line._drop(labels([objections[line.id]]))
