from odoo import api, fields, models


class DunningDay(models.Model):
    """All invoices of a company were looked at on that day.

    Marks tell what changes during the day; only the day itself, which ends holds
    and makes steps due, asks for a look at everything. Insert-only.
    """

    _name = "dunning.day"
    _description = "Reminder Day"
    _log_access = False

    company_id = fields.Many2one(
        comodel_name="res.company", required=True, ondelete="cascade"
    )
    day = fields.Date(required=True)

    _company_day_uniq = models.UniqueIndex("(company_id, day)")

    @api.model
    def _is_done(self, company, day):
        return bool(
            self.search_count([("company_id", "=", company.id), ("day", "=", day)])
        )

    @api.model
    def _set_done(self, company, day):
        self.env.cr.execute(
            """
            INSERT INTO dunning_day (company_id, day) VALUES (%s, %s)
                ON CONFLICT DO NOTHING
            """,
            [company.id, day],
        )

    @api.autovacuum
    def _gc_days(self):
        self.search([("day", "<", "-30d")]).unlink()
