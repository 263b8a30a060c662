"""Median: an aggregate that pivots and graphs of Odoo do not have by themselves."""

from odoo import models
from odoo.tools import SQL


class DunningMedianMixin(models.AbstractModel):
    """Fields with ``aggregator="median"``. Views must not show sample data: those are
    made in the browser, which knows no medians.
    """

    _name = "dunning.median.mixin"
    _description = "Median in Analyses"

    def _read_group_select(self, aggregate_spec, query):
        name, _colon, aggregator = aggregate_spec.partition(":")
        if aggregator != "median":
            return super()._read_group_select(aggregate_spec, query)
        return SQL(
            "PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY %s)",
            self._field_to_sql(self._table, name, query),
        )
