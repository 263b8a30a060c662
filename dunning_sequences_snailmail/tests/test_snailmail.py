import io
from unittest.mock import patch

import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

from odoo.exceptions import AccessError
from odoo.tests import tagged
from odoo.tools.pdf import PdfFileWriter

from odoo.addons.dunning_sequences.tests.common import DunningCommon
from odoo.addons.snailmail.models import snailmail_letter


@tagged("post_install", "-at_install")
class TestSnailmail(DunningCommon):
    """Letters leave by Odoo's service: if the company says so, and each one once."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = {
            "street": "Main Street 1",
            "zip": "1000",
            "city": "Town",
            "country_id": cls.env.ref("base.be").id,
        }
        cls.customer.write(cls.address)
        cls.other = cls._create_customer("Other", **cls.address)
        cls.step = {"delay": 7, "channel": "letter", "by_post_service": True}

    def setUp(self):
        super().setUp()
        self.asked = []  # what the service was asked to post
        self.error = None  # its answer; an exception when there is none
        writer = PdfFileWriter()
        writer.addBlankPage(width=595, height=842)
        with io.BytesIO() as page:
            writer.write(page)
            content = page.getvalue()
        report = self.env.registry["ir.actions.report"]
        self.startPatcher(
            patch.object(report, "_run_wkhtmltopdf", lambda *args, **kwargs: content)
        )
        self.startPatcher(
            patch.object(snailmail_letter.iap_tools, "iap_jsonrpc", self._answer)
        )

    def _answer(self, _url, params=None, **_kwargs):
        [document] = params["documents"]
        self.asked.append(document)
        if isinstance(self.error, Exception):
            raise self.error
        said = {"sent": True, "send_id": 7} if not self.error else {"error": self.error}
        documents = [{**document, **said}]
        return {"request_code": 200, "request": {"documents": documents}}

    def _write_letters(self, **step):
        self._create_default({**self.step, **step})
        self._create_invoice_due("03-01")
        self._create_invoice_due("03-01", customer=self.other)
        return self.run_day("03-08")

    def _post(self):
        self.commit()
        reminders = self.root["dunning.reminder"]
        reminders.with_context(force_report_rendering=True)._cron_post()
        self.env["snailmail.letter"]._snailmail_cron(autocommit=False)
        self.env.invalidate_all()

    def test_nothing_is_posted_unless_the_company_says_so(self):
        letters = self._write_letters()
        self._post()
        self.assertFalse(self.asked)
        self.company.dunning_snailmail = True
        letters[1].sudo().registered = True
        self.travel("03-08", 20)
        self._post()
        self.assertFalse(self.asked, "nothing leaves at night")
        self.travel("03-09")
        self._post()
        self.assertEqual(letters.mapped("state"), ["sent", "to_print"])
        self.assertEqual(str(letters[0].sent_on), "2026-03-09")
        [document] = self.asked
        self.assertEqual(document["address"]["street"], "Main Street 1")
        self.assertTrue(document["pdf_bin"])
        self.assertIn(letters[0].mail_message_id, letters[0].move_id.message_ids)
        self._post()
        self.assertEqual(len(self.asked), 1, "once")

    def test_who_paid_meanwhile_gets_none(self):
        self.company.dunning_snailmail = True
        letters = self._write_letters()
        self.pay(letters[0].move_id)
        self._post()
        self.assertEqual(letters.mapped("state"), ["cancelled", "sent"])
        self.assertEqual(len(self.asked), 1)

    def test_what_is_refused_is_listed_and_posted_again_once(self):
        self.company.dunning_snailmail = True
        letters = self._write_letters()
        self.error = "CREDIT_ERROR"
        self._post()
        self.assertEqual(letters.mapped("state"), ["failed", "to_print"])
        self.assertIn("credits", letters[0].failure_reason)
        self.assertEqual(letters[0].snailmail_id.state, "canceled")
        self._post()
        self.assertEqual(len(self.asked), 1, "the others wait, and Odoo's queue, too")
        self.error = None
        letters[0].action_retry()
        self._post()
        again = self.env["dunning.reminder"].search([("retry_of_id", "!=", False)])
        self.assertEqual((again.state, len(self.asked)), ("sent", 2))
        self.travel("03-08", 12)
        self.other.country_id = False
        self._post()
        self.assertEqual((letters[1].state, len(self.asked)), ("failed", 2))
        self.assertIn("complete the address of Other", letters[1].failure_reason)

    def test_nobody_listens(self):
        self.company.dunning_snailmail = True
        letters = self._write_letters()
        nobody = NewConnectionError(None, "refused")
        self.error = AccessError("An error occurred while reaching the service.")
        self.error.__context__ = requests.exceptions.ConnectionError(
            MaxRetryError(None, "/print", nobody)
        )
        self._post()
        self.assertEqual(set(letters.mapped("state")), {"to_print"})
        self.assertIn("reaching the service", letters[0].failure_reason)
        self.assertFalse(letters[0].sent_on)
        self.error = None
        self.travel("03-08", 12)
        self._post()
        self.assertEqual(set(letters.mapped("state")), {"sent"})
        self.assertEqual(len(self.asked), 3)

    def test_a_lost_answer_is_doubtful(self):
        self.company.dunning_snailmail = True
        letters = self._write_letters()
        self.error = AccessError("The request to the service timed out.")
        self._post()
        self.assertEqual(letters.mapped("state"), ["doubtful", "to_print"])
        self.error = None
        self._post()
        self.assertEqual(len(self.asked), 1, "nobody posts it a second time")
        letters[0].action_confirm_sent()
        self.assertEqual(letters[0].state, "sent")
