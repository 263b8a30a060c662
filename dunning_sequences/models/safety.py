"""Safety: an unusual day waits for a person.

A wrong import, a sequence started on the wrong customers, a bank statement that nobody
loaded: what leaves by itself stops, and somebody looks at it first.
"""

from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import SQL

from .res_company import INTERNAL

#: A day with fewer reminders is never unusual.
SMALL_DAY = 50

#: Days that say what is usual, and how many of them must have had reminders.
USUAL_WINDOW = timedelta(days=60)
USUAL_DAYS = 5


class ResCompany(models.Model):
    _inherit = "res.company"

    dunning_day_limit = fields.Integer(
        groups=INTERNAL,
        string="Reminders a Day",
        help="When more would leave by themselves on a day, all of that day wait for "
        "approval. 0: no limit. Never below 50 a day.",
    )
    dunning_day_factor = fields.Float(
        groups=INTERNAL,
        string="Times the Usual",
        default=5.0,
        help="When so many times more reminders than on a usual day would leave by "
        "themselves, all of that day wait for approval. 0: never. Never below 50 a "
        "day.",
    )
    dunning_statement_days = fields.Integer(
        groups=INTERNAL,
        string="Bank Statements Older Than",
        help="Days: when the newest line of the bank statements is older, nothing "
        "leaves by itself, because who has paid is not known. 0: not looked at.",
    )

    @api.constrains("dunning_day_limit", "dunning_day_factor", "dunning_statement_days")
    def _check_dunning_safety(self):
        for company in self:
            limits = (
                company.dunning_day_limit,
                company.dunning_day_factor,
                company.dunning_statement_days,
            )
            if min(limits) < 0:
                raise ValidationError(
                    self.env._("The limits of the payment reminders are not negative.")
                )

    def _are_dunning_statements_old(self, today):
        """Is the newest bank statement line older than the company allows?

        A branch has its parents' limit and bank accounts, too.
        """
        self.ensure_one()
        parents = self.parent_ids.sorted("parent_path", reverse=True)
        days = next(filter(None, parents.mapped("dunning_statement_days")), 0)
        if not days:
            return False
        newest = self.env["account.bank.statement.line"].search_fetch(
            [
                ("company_id", "in", parents.ids),
                ("journal_id.type", "=", "bank"),
                ("move_id.state", "=", "posted"),
            ],
            ["date"],
            order="date desc",
            limit=1,
        )
        return not newest or newest.date < today - timedelta(days=days)


class AccountBankStatementLine(models.Model):
    _inherit = "account.bank.statement.line"

    @api.model_create_multi
    def create(self, vals_list):
        """Newer statements let go what waited for them."""
        lines = super().create(vals_list)
        companies = lines.company_id.sudo()
        waiting = companies.search(
            [
                ("id", "child_of", companies.ids),
                "|",
                ("dunning_statement_days", "!=", 0),
                ("parent_id", "!=", False),
            ]
        )
        self.env["dunning.mark"]._mark("company", waiting.ids)
        return lines


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def _get_brake_reason(self, company, today):
        """Why the automatic reminders of a day must be approved, None if they need not.

        Hook: override to brake by amounts, for instance.
        """
        coming = self._count_automatic(company, today)
        if coming < SMALL_DAY:
            return None
        limit, factor = company.dunning_day_limit, company.dunning_day_factor
        if limit and coming > limit:
            return self.env._(
                "%(count)s reminders on one day, and the limit is %(limit)s: approve "
                "them if that is right.",
                count=coming,
                limit=limit,
            )
        usual = self._get_usual(company, today)
        if factor and usual and coming > factor * usual:
            return self.env._(
                "%(count)s reminders on one day, and %(usual)s are usual: approve them "
                "if that is right.",
                count=coming,
                usual=round(usual),
            )
        return None

    @api.model
    def _count_automatic(self, company, today):
        """Messages of the day: those written, and about as many as are due."""
        written = self.env["dunning.reminder"].search_count(
            [
                ("company_id", "=", company.id),
                ("date", "=", today),
                ("origin", "=", "auto"),
                ("state", "!=", "cancelled"),
                # A step to approve does not leave by itself; what was braked would.
                "|",
                ("state", "!=", "to_approve"),
                ("failure_reason", "!=", False),
            ]
        )
        due = self._read_group(
            [
                *self._get_due_domain(company, today),
                ("next_step_id.mode", "=", "auto"),
            ],
            ["partner_id", "sequence_id"],
            ["__count"],
        )
        return written + sum(
            count if sequence.grouping == "invoice" else 1
            for _partner, sequence, count in due
        )

    @api.model
    def _get_usual(self, company, today):
        """Messages on a usual day, None as long as nobody can tell."""
        rows = self.env.execute_query(
            SQL(
                """
                SELECT COUNT(*) FROM dunning_reminder
                 WHERE company_id = %s AND date >= %s AND date < %s
                   AND origin IN ('auto', 'approved')
                   AND state IN ('sent', 'doubtful', 'bounced')
              GROUP BY date
                """,
                company.id,
                today - USUAL_WINDOW,
                today,
            )
        )
        if len(rows) < USUAL_DAYS:
            return None
        return sum(count for (count,) in rows) / len(rows)
