import logging
from collections import defaultdict
from datetime import date, timedelta

from psycopg2 import OperationalError

from odoo import api, fields, models
from odoo.tools import SQL
from odoo.tools.misc import get_lang

_logger = logging.getLogger(__name__)


class DunningRecap(models.Model):
    """The recap of one week for one reader.

    The unique index is what makes it leave once: the row and the mail are written
    together. Insert-only; its figures are what next week's are compared with.
    """

    _name = "dunning.recap"
    _description = "Reminder Recap"
    _order = "week desc, id desc"
    _log_access = False

    user_id = fields.Many2one(
        comodel_name="res.users", required=True, readonly=True, ondelete="cascade"
    )
    week = fields.Date(required=True, readonly=True, help="Its Monday.")
    day = fields.Date(required=True, readonly=True)
    figures = fields.Json(
        readonly=True,
        help="Of each company, by its id: what was open and overdue, in its currency.",
    )

    _once = models.UniqueIndex("(user_id, week)")

    # ------------------------------------------------------------------------
    # WHO AND WHEN
    # ------------------------------------------------------------------------

    @api.model
    def _cron_send(self):
        """Send the recaps that are due. Can run any number of times."""
        Enrollment = self.env["dunning.enrollment"]
        due = self._get_due()
        for left, (user, companies, day) in zip(
            reversed(range(len(due))), due, strict=True
        ):
            Enrollment._in_own_transaction(self._send_safely, user, companies, day)
            if not Enrollment._commit_progress(1, remaining=left):
                break

    @api.model
    def _get_due(self):
        """Return [(reader, his companies, the day of his recap)]."""
        readers = self._get_readers()
        users = self.env["res.users"].union(*readers)
        last = dict(
            self._read_group([("user_id", "in", users.ids)], ["user_id"], ["week:max"])
        )
        due = []
        for user, companies in readers.items():
            day = self._get_due_day(companies, last.get(user))
            if day:
                due.append((user, companies, day))
        return due

    @api.model
    def _get_readers(self):
        """Return {reader: the companies whose recap he gets}."""
        readers = defaultdict(self.env["res.company"].browse)
        running = (
            self.env["dunning.sequence"].sudo().search([("state", "=", "running")])
        )
        followed = self.env["dunning.enrollment"]._get_companies(date.max)
        for company in followed.filtered("dunning_recap"):
            # A branch follows its parent's sequences, too.
            its = running.filtered(lambda s, c=company: s.company_id in c.parent_ids)
            if its:
                for user in company._get_dunning_recap_users(its.user_id):
                    readers[user] |= company
        return readers

    @api.model
    def _get_due_day(self, companies, last_week):
        """The day for which a recap is due now, None if none is.

        The first company whose day it is decides; the others are in the same mail.
        A recap that was missed comes late; the very first one waits for its day.

        :param last_week: Monday of the week of the reader's last recap, or None
        """
        for company in companies:
            today = company._dunning_today()
            late = today.weekday() - int(company.dunning_recap_day)
            is_time = late == 0 or (late > 0 and last_week)
            if not is_time or not company._is_dunning_time():
                continue
            if not last_week or last_week < self._get_week(today):
                return today
        return None

    @api.model
    def _get_week(self, day):
        return day - timedelta(days=day.weekday())

    # ------------------------------------------------------------------------
    # SEND
    # ------------------------------------------------------------------------

    @api.model
    def _send_safely(self, user, companies, day):
        """One recap that cannot be written does not stop the others."""
        try:
            with self.env.cr.savepoint():
                self._send(user, companies, day)
        except OperationalError:
            raise  # The database asks to repeat.
        except Exception:
            _logger.exception("The recap of %s could not be written", user.login)

    @api.model
    def _send(self, user, companies, day):
        """Write the mail of one reader, with what he may see and in his language."""
        last = self.search([("user_id", "=", user.id)], limit=1)
        reader = self.with_user(user).with_context(
            lang=get_lang(self.env, user.lang).code,
            tz=user.tz,
            allowed_company_ids=companies.ids,
        )
        blocks = [reader._get_block(company, last) for company in companies]
        figures = {
            str(c.id): b["figures"] for c, b in zip(companies, blocks, strict=True)
        }
        if self._claim(user, day, figures):
            body = reader._render(blocks, companies)
            vals = reader._prepare_mail_vals(companies, body)
            self.env["mail.mail"].sudo().create(vals)

    @api.model
    def _claim(self, user, day, figures):
        """Note that a week's recap was written; False if it was before."""
        rows = self.env.execute_query(
            SQL(
                """
                INSERT INTO dunning_recap (user_id, week, day, figures)
                     VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id
                """,
                user.id,
                self._get_week(day),
                day,
                self._fields["figures"].convert_to_column(figures, self),
            )
        )
        return bool(rows)

    @api.model
    def _prepare_mail_vals(self, companies, body):
        """Values of the mail, by the reader. Hook: override to send it otherwise."""
        user = self.env.user
        company = user.company_id if user.company_id in companies else companies[0]
        return {
            "subject": self.env._(
                "%(companies)s: unpaid invoices and reminders this week",
                companies=", ".join(companies.mapped("name")),
            ),
            "body_html": body,
            "email_from": company.sudo().partner_id.email_formatted
            or self.env.ref("base.user_root").sudo().email_formatted,
            "email_to": user.email_formatted,
            "author_id": company.sudo().partner_id.id,
            "headers": {"X-Auto-Response-Suppress": "OOF"},
            "auto_delete": True,
            "state": "outgoing",
        }

    @api.autovacuum
    def _gc_recaps(self):
        self.search([("week", "<", "-90d")]).unlink()
