"""Dispatch: several jobs deliver at once, as several crons would.

A job leases its reminders one by one, by the lock on their rows, and commits after each
mail, on a connection of its own (the queue's "allow commit"): what is written ahead in
the journal, and what is doubtful after a kill, is the same as in a cron. A job names no
reminders: when it is killed, those it has not sent go to the others at once, and the
one it was about to send is found by `_recover`.
"""

import math

from odoo import api, fields, models

from .dunning_enrollment import TRIES, as_job

#: Mails that are worth a job.
MAILS = 50

#: Jobs that wait at most. The channel's capacity says how many work at a time; one that
#: has used up its time while there is more asks for others.
SLOTS = 32


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    @api.model
    def _cron_deliver(self):
        if not self.env["dunning.enrollment"]._is_dispatching():
            return super()._cron_deliver()
        return self._dispatch_delivery()

    @api.model
    def _dispatch_delivery(self):
        """Queue as many jobs as there is work for."""
        channel = self.env.ref("dunning_sequences_queue_job.channel_dunning").sudo()
        if not channel.try_lock_for_update():
            return  # another cron does it at this moment
        Enrollment = self.env["dunning.enrollment"]
        now = fields.Datetime.now()
        mails = self._count_queued(now, Enrollment._get_companies())
        for slot in range(min(math.ceil(mails / MAILS), SLOTS)):
            key = Enrollment._get_job_key("deliver", slot)
            job = self.delayable(identity_key=key, max_retries=TRIES, priority=5)
            job._job_deliver().delay()

    @as_job
    def _job_deliver(self):
        """Payment reminders: send"""
        self._deliver()
        if not self.env.context["dunning_job_slice"].get_left():
            self.env.ref("dunning_sequences.ir_cron_dunning_send").sudo()._trigger()
