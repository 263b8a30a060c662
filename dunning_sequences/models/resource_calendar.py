"""Days off: when they change, so do the dates of the steps that keep them."""

from odoo import api, models


class ResourceCalendar(models.Model):
    _inherit = "resource.calendar"

    def _dunning_mark(self):
        sequences = (
            self.env["dunning.sequence"]
            .sudo()
            .search([("calendar_id", "in", self.ids)])
        )
        self.env["dunning.mark"]._mark("sequence", sequences.ids)


class ResourceCalendarAttendance(models.Model):
    _inherit = "resource.calendar.attendance"

    @api.model_create_multi
    def create(self, vals_list):
        attendances = super().create(vals_list)
        attendances.calendar_id._dunning_mark()
        return attendances

    def write(self, vals):
        before = self.calendar_id
        res = super().write(vals)
        (before | self.calendar_id)._dunning_mark()
        return res

    def unlink(self):
        calendars = self.calendar_id
        res = super().unlink()
        calendars._dunning_mark()
        return res


class ResourceCalendarLeaves(models.Model):
    _inherit = "resource.calendar.leaves"

    @api.model_create_multi
    def create(self, vals_list):
        leaves = super().create(vals_list)
        leaves._get_dunning_calendars()._dunning_mark()
        return leaves

    def write(self, vals):
        before = self._get_dunning_calendars()
        res = super().write(vals)
        (before | self._get_dunning_calendars())._dunning_mark()
        return res

    def unlink(self):
        calendars = self._get_dunning_calendars()
        res = super().unlink()
        calendars._dunning_mark()
        return res

    def _get_dunning_calendars(self):
        """Those of holidays, not of somebody's leave; of no calendar: all."""
        holidays = self.filtered(lambda leave: not leave.resource_id)
        calendars = holidays.calendar_id
        if holidays.filtered(lambda leave: not leave.calendar_id):
            calendars |= (
                self.env["dunning.sequence"]
                .sudo()
                .search([("calendar_id", "!=", False)])
                .calendar_id
            )
        return calendars
