"""Dispatch: what the crons would do chunk by chunk becomes one job for each chunk.

The crons remain, decide what there is to do, and queue it. A job does what the cron
would have done, by the same methods and under the same locks: it can run twice, at the
same time as another one, or be killed. Nothing is known by jobs alone: lost ones are
made anew by the next run.
"""

import functools
import hashlib
import time

from psycopg2.errors import DeadlockDetected, LockNotAvailable, SerializationFailure

from odoo import api, models
from odoo.tools import split_every
from odoo.tools.misc import groupby

from odoo.addons.dunning_sequences.models.compose import CHUNK as COMPOSE_CHUNK
from odoo.addons.dunning_sequences.models.dunning_enrollment import CHUNK
from odoo.addons.dunning_sequences.models.reconcile import WEEK
from odoo.addons.queue_job.delay import group
from odoo.addons.queue_job.exception import RetryableJobError

#: Seconds that a job may take, as far as it is made of steps: far less than Odoo gives
#: a worker (``limit_time_real``), and long enough for a job's own cost not to matter.
SLICE = 30

#: Tries before a job fails. Nothing is lost by that: the next run makes another one.
TRIES = 10

#: Chunks of customers to a job: one takes a fraction of a second, as the queue does.
CHUNKS = 10

#: Width of a range of invoice ids. A cheap way to cut a table of any size; how many of
#: them are open and the company's is found out in the job.
RANGE = 200_000


class Slice:
    """The time that a job may take.

    Jobs run inside a request. A browser can put what it likes into the context of a
    user's action, and must not make that commit halfway: it can send a number, but
    no object of a class.
    """

    def __init__(self, seconds):
        self.until = time.monotonic() + seconds

    def get_left(self):
        """Return the seconds that are left of it."""
        return max(self.until - time.monotonic(), 0)


def as_job(method):
    """Let a method commit by itself, as in a cron, and be tried again when it must.

    Another worker, or a person, can change the same rows at the same moment.

    :raise RetryableJobError: the queue decides when, see the job function's pattern
    """

    @functools.wraps(method)
    def job(self, *args):
        try:
            return method(self.with_context(dunning_job_slice=Slice(SLICE)), *args)
        except (SerializationFailure, DeadlockDetected, LockNotAvailable) as error:
            raise RetryableJobError(str(error)) from error

    return job


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    # ------------------------------------------------------------------------
    # QUEUE
    # ------------------------------------------------------------------------

    @api.model
    def _is_dispatching(self):
        """Only what a cron starts becomes jobs: who calls from code waits for it."""
        return self._is_in_cron() and not self.env["queue.job"]._is_dunning_stuck()

    @api.model
    def _commit_progress(self, processed=0, remaining=None):
        """In a job: commit, and return the seconds that are left of its slice."""
        job = self.env.context.get("dunning_job_slice")
        if not isinstance(job, Slice):
            return super()._commit_progress(processed, remaining)
        self.env["ir.cron"]._commit_progress()
        return job.get_left()

    @api.model
    def _get_job_key(self, *names):
        return " ".join(("dunning", *map(str, names)))

    @api.model
    def _get_digest(self, ids):
        """Tell one list of records from another in an identity key."""
        return hashlib.sha256(repr(ids).encode()).hexdigest()[:16]

    @api.model
    def _prepare_job(self, key):
        """Return what the job's method is called on: queued once while it waits."""
        return self.delayable(identity_key=key, max_retries=TRIES)

    @api.model
    def _delay_jobs(self, jobs, last):
        """Queue jobs, in any order, and one that comes after all of them."""
        (group(*jobs).on_done(last) if jobs else last).delay()

    # ------------------------------------------------------------------------
    # RUN
    # ------------------------------------------------------------------------

    @api.model
    def _run(self, today=None):
        dispatching = not today and self._is_dispatching()
        return super(
            DunningEnrollment, self.with_context(dunning_dispatching=dispatching)
        )._run(today)

    @api.model
    def _prepare_company(self, company, today):
        """Return nothing to compose while jobs still make the state true."""
        done = self.env["dunning.day"].sudo()._is_done(company, today)
        if done or not self.env.context.get("dunning_dispatching"):
            return super()._prepare_company(company, today)
        self.env["dunning.hold"].sudo()._close_promises(company, today)
        self._dispatch_reconcile(company, today)
        return []

    @api.model
    def _dispatch_reconcile(self, company, today):
        """What `_reconcile_day` does, as jobs."""
        key = self._get_job_key("reconcile", company.id, today)
        if self.env["queue.job"]._is_dunning_unfinished(key):
            return
        jobs = []
        for ids in split_every(CHUNK, self._read_ids_of_the_day(company, today), list):
            job = self._prepare_job(f"{key} {self._get_digest(ids)}")
            jobs.append(job._job_reconcile(company, today, ids))
        for first_id, last_id in self._get_ranges(company):
            job = self._prepare_job(f"{key} {first_id}-{last_id}")
            jobs.append(job._job_reconcile_range(company, today, first_id, last_id))
        last = self._prepare_job(f"{key} end")
        self._delay_jobs(jobs, last._job_finish_reconcile(company, today))

    @api.model
    def _get_ranges(self, company):
        """Return (first, last) ids that together hold all invoices of a company."""
        self.env.cr.execute(
            "SELECT MIN(id), MAX(id) FROM account_move WHERE company_id = %s",
            [company.id],
        )
        first, last = self.env.cr.fetchone()
        if not first:
            return []
        return [(n, n + RANGE - 1) for n in range(first, last + 1, RANGE)]

    @api.model
    def _dispatch_chunks(self, work):
        if not work or not self.env.context.get("dunning_dispatching"):
            return super()._dispatch_chunks(work)
        for (company, today), chunks in groupby(work, key=lambda chunk: chunk[:2]):
            key = self._get_job_key("compose", company.id, today)
            # Cut while some are at work, the same customers would be in other chunks.
            if self.env["queue.job"]._is_dunning_unfinished(key):
                continue
            jobs = []
            for some in split_every(CHUNKS, chunks):
                partner_ids = [partner_id for chunk in some for partner_id in chunk[2]]
                job = self._prepare_job(f"{key} {self._get_digest(partner_ids)}")
                brake = some[0][3]
                jobs.append(job._job_compose(company, today, partner_ids, brake))
            last = self._prepare_job(f"{key} end")
            self._delay_jobs(jobs, last._job_finish_run())
        return self.env["dunning.reminder"]

    # ------------------------------------------------------------------------
    # JOBS
    # ------------------------------------------------------------------------

    @as_job
    def _job_reconcile(self, company, today, move_ids):
        """Payment reminders: what the day changes"""
        if today == company._dunning_today():
            self._reconcile_chunk(move_ids, today)

    @as_job
    def _job_reconcile_range(self, company, today, first_id, last_id):
        """Payment reminders: open invoices of a range"""
        if today != company._dunning_today():
            return
        before = first_id - 1
        while ids := self._read_open_ids(company, before, WEEK, today):
            before = ids[-1]
            mine = [move_id for move_id in ids if move_id <= last_id]
            if mine:
                self._reconcile_chunk(mine, today)
            if before >= last_id:
                return

    @as_job
    def _job_finish_reconcile(self, company, today):
        """Payment reminders: all is true, write what is due"""
        self.env["dunning.day"].sudo()._set_done(company, today)
        self.env.ref("dunning_sequences.ir_cron_dunning_run").sudo()._trigger()

    @as_job
    def _job_compose(self, company, today, partner_ids, brake):
        """Payment reminders: write those of some customers"""
        for ids in split_every(COMPOSE_CHUNK, partner_ids, list):
            # As the cron: inside the company's hours, and never for another day.
            if today != company._dunning_today() or not company._is_dunning_time():
                return
            self._run_chunk(company, today, ids, brake)
            if not self._commit_progress():
                # Those that are written are due no more.
                raise RetryableJobError("To be continued", 1, ignore_retry=True)

    @as_job
    def _job_finish_run(self):
        """Payment reminders: tell who is responsible"""
        self._notify_responsibles()
