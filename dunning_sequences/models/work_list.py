"""Work list: what waits for a person, in one place."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_datetime

#: Hours after which a job that should have run is late.
LATE = timedelta(hours=3)


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def action_open_work_list(self):
        """Open what waits: on one's own part of it, where there is one.

        Jobs that do not run are said first: without them nothing else is true.
        """
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dunning_sequences.dunning_enrollment_action_todo"
        )
        mine = [("responsible_id", "=", self.env.uid), ("state", "=", "todo")]
        if self.search_count(mine, limit=1):
            action["context"] = {"search_default_mine": 1}
        problems = self._get_job_problems()
        if not problems:
            return action
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "danger",
                "sticky": True,
                "title": self.env._("Reminders do not leave as they should"),
                "message": "\n".join(problems),
                "next": action,
            },
        }

    @api.model
    def _get_job_problems(self):
        """Say which scheduled actions are switched off, fail, or do not run."""
        now, problems = fields.Datetime.now(), []
        for cron in self._get_jobs():
            if not cron.active:
                text = self.env._("“%(job)s” is switched off.", job=cron.name)
            elif cron.failure_count:
                text = self.env._(
                    "“%(job)s” failed %(count)s times in a row.",
                    job=cron.name,
                    count=cron.failure_count,
                )
            elif cron.nextcall < now - LATE:
                text = self.env._(
                    "“%(job)s” should have run at %(time)s: does the server run "
                    "scheduled actions?",
                    job=cron.name,
                    time=format_datetime(self.env, cron.nextcall),
                )
            else:
                continue
            problems.append(text)
        return problems

    @api.model
    def _get_jobs(self):
        jobs = self.env["ir.cron"].sudo().with_context(active_test=False)
        for name in ("run", "reconcile", "send", "recover"):
            xml_id = f"dunning_sequences.ir_cron_dunning_{name}"
            jobs += self.env.ref(xml_id, raise_if_not_found=False) or jobs[:0]
        return jobs.sudo()

    # ------------------------------------------------------------------------
    # IN BULK
    # ------------------------------------------------------------------------

    def action_approve(self):
        """Approve the reminders that wait for these instalments."""
        return self._decide_about("to_approve").action_approve()

    def action_print(self):
        """Print the letters that wait for these instalments."""
        return self._decide_about("to_print").action_print()

    def _decide_about(self, state):
        """Their reminders in a state.

        :raise UserError: when there is none
        """
        self.check_access("read")
        reminders = self.reminder_id.filtered(lambda r: r.state == state)
        if not reminders:
            raise UserError(
                self.env._("None of the reminders chosen waits for this decision.")
            )
        return reminders

    def action_open_reminder(self):
        """See the reminder: what it says, and what became of it."""
        self.ensure_one()
        return self.reminder_id._get_records_action()

    def action_open_postpone(self):
        """Ask until when the coming reminders wait: see `action_postpone`."""
        self.check_access("read")
        action = self.move_id.action_dunning_pause()
        today = fields.Date.context_today(self)
        action["name"] = self.env._("Postpone Reminders")
        action["context"] = {
            **action["context"],
            "default_reason": self.env._("Postponed"),
            "default_until": fields.Date.to_string(today + timedelta(days=6)),
        }
        return action
