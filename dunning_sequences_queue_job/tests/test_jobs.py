from unittest.mock import patch

from psycopg2.errors import SerializationFailure

from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.dunning_sequences.tests.common import DunningCommon
from odoo.addons.queue_job.exception import RetryableJobError
from odoo.addons.queue_job.job import Job

from ..hooks import uninstall_hook


@tagged("post_install", "-at_install")
class TestJobs(DunningCommon):
    """The crons queue jobs, and what the jobs do is what the crons did."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.Job = cls.root["queue.job"]
        cls._create_default((7,), (8,))
        cls.invoice = cls._create_invoice_due("03-01")

    def run_cron(self, *names):
        self.commit()
        for name in names:
            cron = self.env.ref(f"dunning_sequences.ir_cron_dunning_{name}")
            cron.sudo().method_direct_trigger()
        self.env.invalidate_all()

    def get_waiting(self):
        """Return the jobs' methods, in order."""
        jobs = self.Job.search([("state", "in", ("pending", "wait_dependencies"))])
        return sorted(jobs.mapped("method_name"))

    def work(self):
        """Do all jobs, and those that wait for them, as the job runner has them done.

        :return: their methods, in order
        """
        done = []
        while records := self.Job.search([("state", "=", "pending")], order="id"):
            for record in records:
                job = Job.load(self.root, record.uuid)
                job.perform()
                job.set_done()
                job.store()
                job.enqueue_waiting()
                done.append(job.method_name)
                self.root.flush_all()
        self.env.invalidate_all()
        return done

    def test_a_day_of_jobs(self):
        self.travel("03-08")
        self.run_cron("run", "run", "send", "send_2")
        every = ["_job_finish_reconcile", "_job_reconcile", "_job_reconcile_range"]
        self.assertEqual(self.get_waiting(), every, "each once, however often it ran")
        functions = self.Job.search([]).job_function_id
        self.assertEqual(set(functions.mapped("channel")), {"root.dunning"})
        self.assertEqual(self.work()[-1], "_job_finish_reconcile", "it came last")
        self.assertReminders(self.invoice)

        self.run_cron("run", "run")
        self.assertEqual(self.get_waiting(), ["_job_compose", "_job_finish_run"])
        self.assertEqual(self.work(), ["_job_compose", "_job_finish_run"])
        self.assertEqual(self.get_last_reminder(self.invoice).state, "queued")
        self.assertFalse(self.sink.mails)

        self.run_cron("send", "send_2")
        self.assertEqual(self.get_waiting(), ["_job_deliver"], "two crons, one job")
        self.work()
        self.assertReminders(self.invoice, "03-08 S1")
        self.run_cron("reconcile", "run", "send")
        self.assertFalse(self.work(), "nothing is left for that day")
        self.assertEqual(self.get_subjects(), ["S1"])

    def test_from_code_nothing_is_queued(self):
        self.run_day("03-08")
        self.assertReminders(self.invoice, "03-08 S1")
        self.assertFalse(self.get_waiting())

    def test_a_job_that_comes_too_late_writes_nothing(self):
        self.travel("03-08", 17)
        self.run_cron("run")
        self.work()
        self.run_cron("run")
        self.travel("03-08", 19)
        self.work()
        self.travel("03-09")
        self.assertReminders(self.invoice)
        for _round in range(3):
            self.run_cron("run", "send")
            self.work()
        self.assertReminders(self.invoice, "03-09 S1")

    def test_who_holds_the_rows_is_waited_for(self):
        self.travel("03-08")
        self.run_cron("run")
        self.work()
        self.run_cron("run")
        record = self.Job.search([("method_name", "=", "_job_compose")])
        held = patch.object(
            type(self.Enrollment), "_compose_partners", side_effect=SerializationFailure
        )
        job = Job.load(self.root, record.uuid)
        with held, self.assertRaises(RetryableJobError):
            job.perform()
        self.assertEqual((job.retry, job.max_retries), (1, 10))
        self.assertLessEqual(job._get_retry_seconds(), 5)
        self.work()
        self.assertEqual(self.get_last_reminder(self.invoice).state, "queued")

    def test_only_jobs_commit_by_themselves(self):
        Cron = type(self.env["ir.cron"])
        forged = self.Enrollment.with_context(dunning_job_slice=2**40)
        with patch.object(Cron, "_commit_progress") as commit:
            self.assertEqual(forged._commit_progress(), float("inf"))
            commit.assert_not_called()
            today = self.env.company._dunning_today()
            self.root["dunning.enrollment"]._job_compose(
                self.env.company, today, self.invoice.partner_id.ids, False
            )
            commit.assert_called()

    def test_without_a_job_runner_the_crons_work(self):
        self.travel("03-08")
        self.run_cron("run")
        self.travel("03-08", 11.1)
        with mute_logger("odoo.addons.dunning_sequences_queue_job.models.queue_job"):
            self.run_cron("run", "send")
        self.assertReminders(self.invoice, "03-08 S1")
        self.assertEqual(self.get_subjects(), ["S1"])
        self.work()
        self.assertEqual(self.get_subjects(), ["S1"], "jobs that wake up find nothing")

    def test_uninstalling_leaves_the_work_to_the_crons(self):
        self.travel("03-08")
        self.run_cron("run")
        self.env["ir.cron.trigger"].search([]).unlink()
        uninstall_hook(self.root)
        self.assertFalse(self.get_waiting())
        triggers = self.env["ir.cron.trigger"].search([])
        self.assertIn(
            self.env.ref("dunning_sequences.ir_cron_dunning_run"), triggers.cron_id
        )
