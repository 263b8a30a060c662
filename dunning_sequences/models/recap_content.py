"""What a recap says about one company: only what its reader may see.

Each count is that of the list behind its link, because both read the domain of the
same action.
"""

from bisect import bisect_left

from odoo import api, models
from odoo.fields import Domain
from odoo.tools import SQL, float_round, format_date, formatLang
from odoo.tools.safe_eval import safe_eval

#: Days late at which the next column of the ageing begins.
AGES = (30, 60, 90)


class DunningRecap(models.Model):
    _inherit = "dunning.recap"

    @api.model
    def _render(self, blocks, companies):
        return self.env["ir.qweb"]._render(
            "dunning_sequences.recap_mail",
            {
                "blocks": blocks,
                "problems": self.env["dunning.enrollment"]._get_job_problems(),
                # "lang" is QWeb's own.
                "html_lang": self.env.lang.replace("_", "-"),
            },
            lang=self.env.lang,
        )

    @api.model
    def _get_block(self, company, last):
        """Return what the mail says about a company, formatted.

        :param last: the reader's last recap, or none
        """
        mine = self.with_context(allowed_company_ids=company.ids)
        company = company.with_env(mine.env)
        figures, ages = mine._get_figures(company)
        return {
            "company": company.name,
            "figures": figures,
            "totals": mine._get_totals(company, figures, last),
            "ages": mine._get_ages(company, ages),
            "waiting": mine._get_waiting(company),
            "coming": mine._get_coming(company),
            "coming_url": mine._get_url(company, "dunning_enrollment_action_next_week"),
        }

    @api.model
    def _get_url(self, company, action):
        menu = self.env.ref("account.menu_finance").id
        url = f"{company.get_base_url()}/odoo/action-dunning_sequences.{action}"
        return f"{url}?menu_id={menu}"

    @api.model
    def _format(self, company, amount):
        return formatLang(self.env, amount, currency_obj=company.currency_id)

    # ------------------------------------------------------------------------
    # AMOUNTS
    # ------------------------------------------------------------------------

    @api.model
    def _get_figures(self, company):
        """Return ({"open": …, "overdue": …}, [overdue, by `AGES`]).

        In company currency, and of the same lines as on the customer.
        """
        rows = self.env["account.move.line"]._read_group(
            [
                ("company_id", "=", company.id),
                ("display_type", "=", "payment_term"),
                ("move_id.move_type", "in", ("out_invoice", "out_receipt")),
                ("parent_state", "=", "posted"),
                ("reconciled", "=", False),
            ],
            ["date_maturity:day"],
            ["amount_residual:sum"],
        )
        today = company._dunning_today()
        ages = [0.0] * (len(AGES) + 1)
        for due_date, amount in rows:
            late = (today - due_date).days if due_date else 0
            if late > 0:
                ages[bisect_left(AGES, late)] += amount
        total = sum(amount for _due_date, amount in rows)
        rounding = company.currency_id.rounding
        total, overdue = (
            float_round(amount, precision_rounding=rounding)
            for amount in (total, sum(ages))
        )
        return {"open": total, "overdue": overdue}, ages

    @api.model
    def _get_totals(self, company, figures, last):
        before = (last.figures or {}).get(str(company.id), {})
        words = {"open": self.env._("Open"), "overdue": self.env._("Overdue")}
        return [
            {
                "label": label,
                "amount": self._format(company, figures[name]),
                "url": self._get_url(company, f"account_move_action_dunning_{name}"),
                "change": self._get_change(
                    company, figures[name], before.get(name), last.day
                ),
                # That more is open can mean that more was sold.
                "trend": self._get_trend(company, figures[name], before.get(name))
                if name == "overdue"
                else "",
            }
            for name, label in words.items()
        ]

    @api.model
    def _get_trend(self, company, amount, before):
        if before is None:
            return ""
        trend = company.currency_id.compare_amounts(amount, before)
        return {-1: "better", 0: "", 1: "worse"}[trend]

    @api.model
    def _get_change(self, company, amount, before, since):
        """Compare with what this reader was told last, whatever was booked since."""
        if before is None:
            return ""
        words = {
            -1: self.env._("%(amount)s less than on %(day)s"),
            0: self.env._("as on %(day)s"),
            1: self.env._("%(amount)s more than on %(day)s"),
        }
        return words[company.currency_id.compare_amounts(amount, before)] % {
            "amount": self._format(company, abs(amount - before)),
            "day": format_date(self.env, since),
        }

    @api.model
    def _get_ages(self, company, ages):
        """Return the rows of the ageing, with the share of each in percent."""
        labels = (
            self.env._("1 to 30 days"),
            self.env._("31 to 60 days"),
            self.env._("61 to 90 days"),
            self.env._("over 90 days"),
        )
        total = sum(amount for amount in ages if amount > 0)
        return [
            {
                "label": label,
                "amount": self._format(company, amount),
                "share": round(100 * max(amount, 0) / total) if total else 0,
            }
            for label, amount in zip(labels, ages, strict=True)
        ]

    # ------------------------------------------------------------------------
    # WHAT WAITS, WHAT COMES
    # ------------------------------------------------------------------------

    @api.model
    def _get_waiting_actions(self):
        """Return {action: label} of the lists that are counted.

        Hook: add a list of your own; its action must have a plain domain.
        """
        return {
            "dunning_enrollment_action_todo": self.env._(
                "Instalments that need somebody"
            ),
            "dunning_reminder_action_to_approve": self.env._("Reminders to approve"),
            "dunning_enrollment_action_problems": self.env._(
                "Failed or without address"
            ),
            "dunning_reminder_action_doubtful": self.env._(
                "Doubtful: have they arrived?"
            ),
            "dunning_hold_action_broken": self.env._("Promises broken in 7 days"),
            "dunning_hold_action_disputes": self.env._("Open disputes"),
            "dunning_hold_action_disputes_14": self.env._(
                "Disputes open for more than 14 days"
            ),
            "dunning_hold_action_disputes_30": self.env._(
                "Disputes open for more than 30 days"
            ),
            "dunning_hold_action_ageing": self.env._(
                "Paused over 30 days, without an end"
            ),
        }

    @api.model
    def _get_waiting(self, company):
        """Return the lists that are not empty."""
        rows = []
        for action, label in self._get_waiting_actions().items():
            records, domain = self._get_list(company, action)
            count = records.search_count(domain)
            if count:
                rows.append(
                    {
                        "label": label,
                        "count": count,
                        "since": self._get_oldest(records, domain),
                        "amount": self._get_disputed(records, domain),
                        "url": self._get_url(company, action),
                    }
                )
        return rows

    @api.model
    def _get_list(self, company, action):
        """Return the model and the domain of the list behind an action."""
        action = self.env.ref(f"dunning_sequences.{action}").sudo()
        domain = Domain(safe_eval(action.domain or "[]"))
        return self.env[action.res_model], domain & Domain(
            "company_id", "=", company.id
        )

    @api.model
    def _get_oldest(self, records, domain):
        """Since when the oldest open hold has held; nothing for other lists."""
        if records._name != "dunning.hold":
            return ""
        still_open = domain & Domain("closed_on", "=", False)
        ((oldest,),) = records._read_group(still_open, [], ["since:min"])
        return format_date(self.env, oldest)

    @api.model
    def _get_disputed(self, records, domain):
        """What is disputed, one total per currency; nothing for other lists."""
        if records._name != "dunning.hold":
            return ""
        disputed = domain & Domain("kind", "=", "dispute")
        return ", ".join(
            formatLang(self.env, amount, currency_obj=currency)
            for currency, amount in records._read_group(
                disputed, ["currency_id"], ["amount:sum"]
            )
            if amount
        )

    @api.model
    def _get_coming(self, company):
        """Return what leaves in the coming week, day by day."""
        Enrollment, domain = self._get_list(
            company, "dunning_enrollment_action_next_week"
        )
        Enrollment.flush_model()
        self.env["account.move.line"].flush_model()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT GREATEST(enrollment.next_date, %(today)s) AS day,
                       COUNT(DISTINCT enrollment.id), SUM(line.amount_residual)
                  FROM dunning_enrollment enrollment
                  JOIN account_move move ON move.id = enrollment.move_id
                  JOIN account_move_line line
                    ON line.move_id = move.id
                   AND line.display_type = 'payment_term'
                   AND COALESCE(line.date_maturity, move.invoice_date_due,
                                move.invoice_date, move.date) = enrollment.due_date
                 WHERE enrollment.id IN %(coming)s
              GROUP BY 1
              ORDER BY 1
                """,
                today=company._dunning_today(),
                coming=Enrollment._search(domain).subselect(),
            )
        )
        return [
            {
                "day": format_date(self.env, day, date_format="EEEE d MMMM"),
                "count": count,
                "amount": self._format(company, amount),
            }
            for day, count, amount in rows
        ]
