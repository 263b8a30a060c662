"""Our jobs in the queue: which ones wait, and whether anybody takes them."""

import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.fields import Domain

_logger = logging.getLogger(__name__)

#: States in which a job is still to be done, or being done.
UNFINISHED = ("pending", "enqueued", "started")

#: Jobs that nobody has taken for so long are left to the crons.
PATIENCE = timedelta(hours=1)


class QueueJob(models.Model):
    _inherit = "queue.job"

    @api.model
    def _get_dunning_domain(self):
        return Domain("model_name", "in", ("dunning.enrollment", "dunning.reminder"))

    @api.model
    def _is_dunning_unfinished(self, prefix):
        """Is there work to be done yet under such an identity key?"""
        domain = Domain("identity_key", "=like", f"{prefix}%")
        return bool(
            self.sudo().search_count(
                domain & self._get_dunning_domain() & Domain("state", "in", UNFINISHED),
                limit=1,
            )
        )

    @api.model
    def _is_dunning_stuck(self):
        """Do jobs wait while none is started: does no job runner run?

        Nobody would be reminded any more, and nobody would notice.
        """
        since = fields.Datetime.now() - PATIENCE
        ours = self._get_dunning_domain()
        waiting = (
            ours
            & Domain("state", "in", ("pending", "enqueued"))
            & Domain("date_created", "<=", since)
            & (Domain("eta", "=", False) | Domain("eta", "<=", since))
        )
        jobs = self.sudo()
        if not jobs.search_count(waiting, limit=1):
            return False
        if jobs.search_count(ours & Domain("date_started", ">", since), limit=1):
            return False
        _logger.warning(
            "Jobs of the payment reminders have waited for more than an hour, and "
            "none was started: the cron does the work itself. Is the job runner "
            "running (server_wide_modules)? Has the channel root.dunning any capacity?"
        )
        return True
