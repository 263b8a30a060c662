from odoo import api, fields, models
from odoo.tools import format_date, formatLang

from ..tools import late_payment

#: Metropolitan France, and those overseas that have its commercial law.
FRENCH_CODES = ("FR", "BL", "GF", "GP", "MF", "MQ", "PM", "RE", "YT")


class DunningInterestRate(models.Model):
    """The yearly rate of late-payment interest, from a day on.

    The law of a country sets it for each half-year: in France the rate of the European
    Central Bank's main refinancing operations on 1 January or 1 July, and 10 points
    (C. com., art. L441-10 II). A company that agreed on another one with its customers
    has rates of its own, and then follows only these.
    """

    _name = "dunning.interest.rate"
    _description = "Late-Payment Interest Rate"
    _order = "date_from desc, id desc"
    _check_company_domain = models.check_company_domain_parent_of

    date_from = fields.Date(
        string="Valid From",
        required=True,
        help="The first day on which it holds, until the day before the next rate.",
    )
    rate = fields.Float(
        string="Yearly Rate",
        digits=(6, 3),
        required=True,
        help="In percent: 12.15 is 12.15 % a year.",
    )
    source = fields.Char(
        help="Where it comes from, such as “ECB 2.15 % + 10 points”. Only shown inside "
        "the company."
    )
    country_id = fields.Many2one(
        comodel_name="res.country",
        ondelete="cascade",
        help="For companies in this country that have no rates of their own. Empty: "
        "for those of a country without rates.",
    )
    company_id = fields.Many2one(
        comodel_name="res.company",
        ondelete="cascade",
        help="Only for this company, which then follows no other rates. Empty: for "
        "all.",
    )

    _once = models.UniqueIndex(
        "(date_from, COALESCE(company_id, 0), COALESCE(country_id, 0))",
        "There is a rate that begins on this day. Change that one.",
    )
    _check_rate = models.Constraint(
        "CHECK (rate >= 0 AND rate <= 100)",
        "A yearly rate is between 0 and 100 percent.",
    )
    _check_whose = models.Constraint(
        "CHECK (company_id IS NULL OR country_id IS NULL)",
        "A rate is for a company or for a country, not for both.",
    )

    @api.depends("date_from", "rate")
    @api.depends_context("lang")
    def _compute_display_name(self):
        for rate in self:
            rate.display_name = self.env._(
                "%(rate)s %% from %(date)s",
                rate=self._format_rate(rate.rate),
                date=format_date(self.env, rate.date_from),
            )

    @api.model
    def _format_rate(self, percent):
        """At least two decimals, as rates are published: 12.15, 12.125."""
        digits = 2 if round(percent, 2) == round(percent, 3) else 3
        return formatLang(self.env, percent, digits=digits)


class ResCompany(models.Model):
    _inherit = "res.company"

    def _get_dunning_rates(self):
        """Return the interest rates that a company follows.

        Its own; else its parents', the nearest first; else its country's; else those
        for all. Never some of one and some of another.
        """
        self.ensure_one()
        parents = self.sudo().parent_ids.sorted("parent_path", reverse=True)
        country = self._get_dunning_claim_country()
        rates = (
            self.env["dunning.interest.rate"]
            .sudo()
            .search(
                [
                    ("company_id", "in", [False, *parents.ids]),
                    ("country_id", "in", [False, country.id]),
                ]
            )
        )
        for company in parents:
            own = rates.filtered(
                lambda rate, company=company: rate.company_id == company
            )
            if own:
                return own
        shared = rates.filtered(lambda rate: not rate.company_id)
        return shared.filtered("country_id") or shared

    def _get_dunning_claim_country(self):
        """The country whose law the company claims by; overseas, France is France."""
        self.ensure_one()
        country = self.sudo().country_id or self.sudo().account_fiscal_country_id
        if country.code in FRENCH_CODES:
            return self.env.ref("base.fr")
        return country

    def _get_dunning_claim_law(self):
        """Return "fr", "eu", or None where there is no such law. Hook.

        Directive 2011/7/EU holds in the European Union; France wrote it into C. com.,
        art. L441-10.
        """
        self.ensure_one()
        country = self._get_dunning_claim_country()
        if country.code in FRENCH_CODES:
            return "fr"
        return "eu" if country in self.env.ref("base.europe").country_ids else None

    def _get_dunning_rate_problem(self, rates, today):
        """Say what is missing in the rates of a company, False if nothing is.

        Rates of its own hold until the next one; published ones for a half-year.
        """
        self.ensure_one()
        if not rates:
            return self.env._(
                "No late-payment interest rate is known for %(company)s: no interest "
                "is claimed. Add it in Configuration > Late-Payment Interest Rates.",
                company=self.name,
            )
        newest = rates.sorted("date_from")[-1]
        half_year = late_payment.get_half_year(today)
        if newest.company_id or newest.date_from >= half_year:
            return False
        missing = late_payment.get_next_half_year(newest.date_from)
        return self.env._(
            "The late-payment interest rate of the half-year from %(date)s is missing: "
            "until you add it in Configuration > Late-Payment Interest Rates, the last "
            "one that is known is used, %(rate)s.",
            date=format_date(self.env, missing),
            rate=newest.display_name,
        )
