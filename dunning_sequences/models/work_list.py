"""Work list: what waits for a person, in one place."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL, format_datetime

from .dunning_reminder import STATES_PENDING

#: Hours after which a job that should have run is late.
LATE = timedelta(hours=3)


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    todo_step_id = fields.Many2one(
        comodel_name="dunning.sequence.step",
        string="Step",
        compute="_compute_todo_step_id",
        help="The step that waits for a person, else the coming one.",
    )

    @api.depends("next_step_id")
    def _compute_todo_step_id(self):
        rows = self.env.execute_query(
            SQL(
                "SELECT id, %s FROM dunning_enrollment WHERE id = ANY(%s)",
                self._get_todo_step_sql("dunning_enrollment"),
                self.ids,
            )
        )
        steps = dict(rows)
        for enrollment in self:
            enrollment.todo_step_id = steps.get(enrollment.id)

    def _field_to_sql(self, alias, fname, query=None):
        if fname == "todo_step_id":
            return self._get_todo_step_sql(alias)
        return super()._field_to_sql(alias, fname, query=query)

    @api.model
    def _get_todo_step_sql(self, alias):
        """The step of the reminder that waits for this instalment of ``alias``."""
        return SQL(
            """
            COALESCE((
                SELECT line.step_id FROM dunning_reminder_line line
                  JOIN dunning_reminder reminder ON reminder.id = line.reminder_id
                 WHERE line.move_id = %(move)s AND line.due_date = %(due_date)s
                   AND line.counts AND reminder.state = ANY(%(pending)s)
              ORDER BY line.id DESC LIMIT 1
            ), %(coming)s)
            """,
            move=SQL.identifier(alias, "move_id"),
            due_date=SQL.identifier(alias, "due_date"),
            coming=SQL.identifier(alias, "next_step_id"),
            pending=list(STATES_PENDING),
        )

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
        self.env["dunning.hold"].check_access("create")
        reminders = self.reminder_id.filtered(lambda r: r.state == state)
        if not reminders and state == "to_print":
            raise UserError(
                self.env._("None of the lines chosen is a letter to print.")
            )
        if not reminders:
            raise UserError(
                self.env._("None of the reminders chosen waits for approval.")
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
        today = self.company_id[:1]._dunning_today()
        action["name"] = self.env._("Postpone Reminders")
        action["context"] = {
            **action["context"],
            "default_reason": self.env._("Postponed"),
            "default_until": fields.Date.to_string(today + timedelta(days=6)),
        }
        return action
