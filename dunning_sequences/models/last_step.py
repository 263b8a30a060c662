"""Last step: who is told before it, and who when it has brought nothing.

The salesperson, some days before the last reminder leaves, so that he can call; the
collector, some days after it, when the invoice is still unpaid. One activity for each
customer and day, on the customer: whoever sells may open him, not each invoice.
"""

import logging
from collections import defaultdict

from psycopg2.errors import DeadlockDetected, SerializationFailure

from odoo import api, fields, models, tools
from odoo.tools import SQL, format_date, formatLang, plaintext2html

_logger = logging.getLogger(__name__)

#: Options of a sequence that make somebody be told.
TELLING_FIELDS = {"tell_salesperson", "tell_when_done"}


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    tell_salesperson = fields.Boolean(
        string="Tell the Salesperson before the Last Step",
        tracking=True,
        help="The salesperson of the invoice, else of the customer, gets an activity "
        "before the last reminder leaves, so that he can call.",
    )
    tell_salesperson_days = fields.Integer(
        string="Days before the Last Step", default=3, tracking=True
    )
    tell_when_done = fields.Boolean(
        string="Activity after the Last Step",
        tracking=True,
        help="The customer's collector, else the responsible of the sequence, gets "
        "an activity when all steps are done and the invoice is still unpaid.",
    )
    tell_when_done_days = fields.Integer(
        string="Days after the Last Step", default=7, tracking=True
    )

    _check_telling_days = models.Constraint(
        "CHECK (tell_salesperson_days BETWEEN 0 AND 365"
        " AND tell_when_done_days BETWEEN 0 AND 365)",
        "Somebody is told between 0 and 365 days before or after the last step.",
    )

    @api.model
    @tools.ormcache()
    def _is_telling(self):
        """Does any sequence have somebody told? Else the daily run asks for nothing."""
        options = [[(name, "=", True)] for name in sorted(TELLING_FIELDS)]
        return any(self.sudo().search_count(domain, limit=1) for domain in options)

    @api.model_create_multi
    def create(self, vals_list):
        sequences = super().create(vals_list)
        if any(TELLING_FIELDS & vals.keys() for vals in vals_list):
            self.env.registry.clear_cache()
        return sequences

    def write(self, vals):
        res = super().write(vals)
        if TELLING_FIELDS & vals.keys():
            self.env.registry.clear_cache()
        return res


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def _tell_in_time(self, company, today):
        """Tell whom the end of a sequence concerns, where one says so."""
        if self.env["dunning.sequence"]._is_telling():
            self._in_own_transaction(self._tell_safely, company, today)

    @api.model
    def _tell_safely(self, company, today):
        """What fails here stops no reminder."""
        try:
            with self.env.cr.savepoint():
                mine = self.sudo().with_company(company)
                mine._tell("before", company, today)
                mine._tell("after", company, today)
                mine._forget_told(company)
        except (SerializationFailure, DeadlockDetected):
            raise  # the next run tells
        except Exception:
            _logger.exception("%s: the end of a sequence was not told", company.name)

    @api.model
    def _tell(self, kind, company, today):
        """Put one activity for each person and customer; never twice for an invoice."""
        groups = defaultdict(self.browse)
        found = self._find_to_tell(kind, company, today)
        found._prefetch_amounts()
        for enrollment in found:
            user = enrollment._get_told_user(kind)
            if user:
                groups[user, enrollment.partner_id] += enrollment
        fresh = self._write_told(kind, self.union(*groups.values()), today)
        groups = {
            key: enrollments.filtered(
                lambda e: (e.move_id.id, e.sequence_id.id) in fresh
            )
            for key, enrollments in groups.items()
        }
        groups = {
            key: enrollments for key, enrollments in groups.items() if enrollments
        }
        # As a step that is an activity: it is on his list, without a mail for each.
        Activity = self.env["mail.activity"].with_context(mail_activity_quick_update=1)
        activities = Activity.create(
            [
                enrollments._prepare_told_vals(kind, user, today)
                for (user, _customer), enrollments in groups.items()
            ]
        )
        told_ids = [
            [fresh[e.move_id.id, e.sequence_id.id] for e in enrollments]
            for enrollments in groups.values()
        ]
        for activity, ids in zip(activities, told_ids, strict=True):
            self.env["dunning.told"].browse(set(ids)).activity_id = activity

    @api.model
    def _find_to_tell(self, kind, company, today):
        """The instalments of which somebody has to be told, and was not yet."""
        finders = {
            "before": self._get_before_last_sql,
            "after": self._get_after_last_sql,
        }
        self.env.flush_all()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT enrollment.id FROM dunning_enrollment enrollment
                  JOIN dunning_sequence sequence
                    ON sequence.id = enrollment.sequence_id
                 WHERE enrollment.company_id = %s AND %s AND NOT EXISTS (
                       SELECT 1 FROM dunning_told told
                        WHERE told.move_id = enrollment.move_id
                          AND told.sequence_id = sequence.id AND told.kind = %s)
              ORDER BY enrollment.due_date, enrollment.id
                """,
                company.id,
                finders[kind](today),
                kind,
            )
        )
        found = self.browse([enrollment_id for (enrollment_id,) in rows])
        if kind == "after" and found:
            found = self.search([("id", "in", found.ids), ("to_collect", "=", True)])
        return found

    @api.model
    def _get_before_last_sql(self, today):
        return SQL(
            """
            sequence.tell_salesperson AND enrollment.state = 'running'
            AND enrollment.occurrence = 0
            AND enrollment.next_date <= %s + sequence.tell_salesperson_days
            AND enrollment.next_step_id = (%s)
            """,
            today,
            self._get_last_step_sql("sequence"),
        )

    @api.model
    def _get_after_last_sql(self, today):
        return SQL(
            """
            sequence.tell_when_done AND enrollment.state = 'done'
            AND COALESCE((
                SELECT MAX(COALESCE(reminder.sent_on, reminder.date))
                  FROM dunning_reminder_line line
                  JOIN dunning_reminder reminder ON reminder.id = line.reminder_id
                 WHERE line.move_id = enrollment.move_id AND line.counts
                   AND line.due_date = enrollment.due_date
            ), enrollment.entered_on) + sequence.tell_when_done_days <= %s
            """,
            today,
        )

    @api.model
    def _get_last_step_sql(self, alias):
        """The last step of the sequence ``alias``."""
        return SQL(
            """
            SELECT step.id FROM dunning_sequence_step step
             WHERE step.sequence_id = %s
          ORDER BY step.sequence DESC, step.id DESC LIMIT 1
            """,
            SQL.identifier(alias, "id"),
        )

    def _get_told_user(self, kind):
        """Whom the end of the sequence concerns; none who cannot know the customer.

        Hook: override to tell somebody else.
        """
        self.ensure_one()
        if kind == "before":
            user = self.move_id.invoice_user_id or self.partner_id.user_id
        else:
            collector = self.partner_id.with_company(self.company_id).dunning_user_id
            user = collector or self.sequence_id._get_responsible()
        return user.filtered(
            lambda u: u.active and not u.share and self.company_id in u.company_ids
        )

    @api.model
    def _write_told(self, kind, enrollments, today):
        """Return {(invoice id, sequence id): id} of what nobody else wrote just now."""
        keys = {(e.move_id.id, e.sequence_id.id) for e in enrollments}
        if not keys:
            return {}
        rows = self.env.cr.execute_values(
            """
            INSERT INTO dunning_told (move_id, sequence_id, kind, day) VALUES %s
                ON CONFLICT DO NOTHING RETURNING move_id, sequence_id, id
            """,
            [(*key, kind, today) for key in sorted(keys)],
            fetch=True,
        )
        return {
            (move_id, sequence_id): told_id for move_id, sequence_id, told_id in rows
        }

    def _prepare_told_vals(self, kind, user, today):
        """The activity of one person about one customer. Hook."""
        customer = self.partner_id
        env = self.with_context(lang=user.lang).env
        day = min(self.mapped("next_date")) if kind == "before" else today
        names = {
            "before": "mail.mail_activity_data_call",
            "after": "mail.mail_activity_data_todo",
        }
        types = self.env.ref(names[kind], raise_if_not_found=False)
        summaries = {
            "before": env._(
                "The last payment reminder leaves on %(date)s: call the customer?",
                date=format_date(env, day),
            ),
            "after": env._("All payment reminders were sent, and it is still unpaid"),
        }
        return {
            "res_model_id": self.env["ir.model"]._get_id(customer._name),
            "res_id": customer.id,
            "activity_type_id": types and types.id,
            "summary": summaries[kind],
            "note": plaintext2html("\n".join(self._get_told_lines(env))),
            "date_deadline": max(day, today),
            "user_id": user.id,
            "automated": True,
        }

    def _get_told_lines(self, env):
        """Each invoice in a line, as its reader reads dates and amounts."""
        return [
            env._(
                "%(invoice)s, due on %(date)s: %(amount)s",
                invoice=enrollment.move_id.name,
                date=format_date(env, enrollment.due_date),
                amount=formatLang(
                    env, enrollment._get_amount(), currency_obj=enrollment.currency_id
                ),
            )
            for enrollment in self
        ]

    @api.model
    def _forget_told(self, company):
        """Nobody is asked any more about what was paid meanwhile."""
        rows = self.env.execute_query(
            SQL(
                """
                SELECT told.activity_id FROM dunning_told told
                  JOIN account_move move ON move.id = told.move_id
             LEFT JOIN dunning_enrollment enrollment
                    ON enrollment.move_id = move.id AND enrollment.state != 'stopped'
                 WHERE told.activity_id IS NOT NULL AND move.company_id = %s
              GROUP BY told.activity_id HAVING COUNT(enrollment.id) = 0
                """,
                company.id,
            )
        )
        activities = self.env["mail.activity"].browse([found for (found,) in rows])
        activities.filtered("active").unlink()
