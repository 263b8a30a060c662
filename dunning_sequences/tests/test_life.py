from odoo.tests import tagged

from .common import DunningCommon


@tagged("post_install", "-at_install")
class TestLife(DunningCommon):
    """The lives of an invoice, act by act."""

    def test_notice_then_three_reminders_then_done(self):
        self._create_default((-3,), (7,), (15,), (30,))
        invoice = self._create_invoice_due("2026-03-01")
        self.drain()
        self.assertNext(invoice, "running", "2026-02-26", "S1")
        self.run_days("2026-02-20", "2026-04-05")
        self.assertReminders(
            invoice,
            [
                ("2026-02-26", "S1"),
                ("2026-03-08", "S2"),
                ("2026-03-16", "S3"),
                ("2026-03-31", "S4"),
            ],
        )
        self.assertNext(invoice, "done")
        self.assertEqual(invoice.dunning_status, "done")
        self.assertEqual(len(self.sink.mails), 4)
