"""The life of one invoice: `make walk` (dev/walk) calls it.

Reminders leave through a real SMTP server, answers and bounces come back through Odoo's
own odoo-mailgate.py, the customer's page is opened in a real browser. Each step prints
what happened, and is checked; docs/walk.md shows it. Exit code 1 when anything was not
as told.
"""

import argparse
import sys
import time
from datetime import date
from pathlib import Path

import odoo.init  # noqa: F401  (the names of `odoo`)
from odoo import Command

from dev.walk_stage import staged

COMPANY = "company.example.com"
ADDRESS = "accounts@harbour.example.com"
CORRECTED = "invoices@harbour.example.com"

#: What stands for the customer in the mails of the tests.
IN_TESTS = {
    "customer@customer.example.com": ADDRESS,
    "customer@gone.example.com": ADDRESS,
    "S1 INV": "Payment reminder",
    "We paid this on Friday, please look again.": "Our director is away. We will see.",
}

HEAD = """\
# The life of one invoice

Made by `make walk`: real mails both ways, a real browser, and a clock that is put
forward. What stands here was checked while it was told.

"""


def day(text):
    return date.fromisoformat(f"2026-{text}")


class Walk:
    def __init__(self, stage, out):
        self.stage, self.out = stage, Path(out)
        self.images = self.out / "images" / "walk"
        self.images.mkdir(parents=True, exist_ok=True)
        for path in self.images.glob("*.png"):
            path.unlink()
        self.text, self.problems = [HEAD], []

    # --- telling ----------------------------------------------------------------

    def tell(self, text):
        print(f"{self.stage.day:%a %d %b}  {text}", flush=True)
        self.text.append(f"**{self.stage.day:%A, %-d %B}.** {text}\n\n")

    def picture(self, name, words, show, *args):
        """Take a picture, and show it below what was told last."""
        number = len(list(self.images.glob("*.png"))) + 1
        path = self.images / f"{number}-{name}.png"
        show(*args, path)
        self.text.append(f"![{words}](images/walk/{path.name})\n\n")
        self.check(f"{path.name} is small", path.stat().st_size < 80_000, True)

    def check(self, what, got, wanted):
        if got != wanted:
            self.problems.append(f"{what}: {got!r}, not {wanted!r}")
            print(f"{'PROBLEM':12}{self.problems[-1]}", flush=True)

    def check_invoice(self, state, reason=False, until=False):
        """What the invoice says of its reminders."""
        row = self.invoice.dunning_enrollment_ids
        got = (row.state, row.hold_reason, row.hold_until)
        self.check(f"the invoice on {self.stage.day}", got, (state, reason, until))

    def check_mails(self, *steps):
        """What has left since the last time: return the mails.

        :param steps: the names of their steps
        """
        mails = self.stage.get_new_mails("harbour.example.com")
        reminders = self.get_reminders()
        names = {reminder.message_id: reminder.step_name for reminder in reminders}
        got = [names.get(mail.header("Message-Id")) for mail in mails]
        self.check(f"mails until {self.stage.day}", got, list(steps))
        return mails

    def get_reminders(self):
        return self.invoice.dunning_reminder_ids.sorted("id")

    # --- before -----------------------------------------------------------------

    def set_up(self):
        env, company = self.stage.env, self.stage.env.company
        domain = env["mail.alias.domain"].search([], limit=1)
        domain = domain or domain.create({"name": COMPANY})
        domain.write(
            {"name": COMPANY, "bounce_alias": "bounce", "catchall_alias": "catchall"}
        )
        company.write(
            {
                "name": "Blue Mill Ltd",
                "email": f"company@{COMPANY}",
                "phone": "+44 20 7946 0000",
                "alias_domain_id": domain.id,
                "dunning_tz": "UTC",
            }
        )
        if "iap_enrich_auto_done" in company._fields:
            company.iap_enrich_auto_done = True  # asks a server on the internet
        parameters = env["ir.config_parameter"].sudo()
        parameters.set_param("web.base.url", self.stage.url)
        parameters.set_param("web.base.url.freeze", "True")
        env["ir.mail_server"].search([]).active = False
        env["ir.mail_server"].create(
            {
                "name": "Mail server",
                "smtp_host": "127.0.0.1",
                "smtp_port": self.stage.args.smtp_port,
                "smtp_encryption": "none",
                "from_filter": COMPANY,
            }
        )
        env.user.write(
            {
                "name": "Alex Accountant",
                "email": f"alex@{COMPANY}",
                "password": "admin",
                "notification_type": "inbox",
            }
        )
        self.set_up_reminders()
        self.stage.commit()

    def set_up_reminders(self):
        """The ready-made sequence, started as it is."""
        env = self.stage.env
        self.sequence = env.ref("dunning_sequences.dunning_sequence_standard")
        self.sequence.user_id = env.user
        self.sequence.action_start()
        env.company.dunning_sequence_id = self.sequence
        self.customer = env["res.partner"].create(
            {
                "name": "Harbour Café",
                "is_company": True,
                "email": ADDRESS,
                "street": "1 Quay Street",
                "city": "Bristol",
                "lang": "en_US",
            }
        )

    # --- the story --------------------------------------------------------------

    def post(self):
        work = {"name": "Flour, 40 sacks", "price_unit": 1200, "tax_ids": []}
        self.invoice = self.stage.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.customer.id,
                "invoice_date": self.stage.day,
                "invoice_date_due": day("03-05"),
                "invoice_payment_term_id": False,
                "invoice_line_ids": [Command.create(work)],
            }
        )
        self.invoice.action_post()
        self.stage.commit()
        self.stage.play_day()
        self.check_invoice("running")
        self.tell(
            f"The invoice {self.invoice.name} is posted, due on 5 March. It follows "
            "the company's sequence: nobody has to do anything."
        )

    def be_friendly(self):
        self.stage.pass_days(day("03-01"))
        self.check_mails()
        self.stage.pass_days(day("03-02"))
        (mail,) = self.check_mails("Courtesy notice")
        self.tell("Three days before the due date, a courtesy notice leaves.")
        self.picture("notice", "The courtesy notice", self.stage.show_mail, mail)

    def be_due(self):
        self.stage.pass_days(day("03-05"))
        self.check_mails()
        self.check_invoice("running")
        self.tell("The invoice is due. Nothing leaves: the payment has its day.")

    def remind(self):
        self.stage.pass_days(day("03-09"))
        self.check_mails()
        self.stage.pass_days(day("03-10"))
        (self.mail,) = self.check_mails("First reminder")
        self.tell("Five days late, and nothing was paid: the first reminder leaves.")
        self.picture("first", "The first reminder", self.stage.show_mail, self.mail)

    def be_out_of_office(self):
        self.stage.go_to(day("03-10"), 9, 1)
        first = self.get_reminders()[-1]
        self.stage.receive("auto_exchange", first, replace=IN_TESTS)
        self.check_invoice("running")
        self.tell(
            "A minute later an out-of-office message comes back. It holds nothing."
        )

    def reply(self):
        self.stage.pass_days(day("03-11"))
        first = self.get_reminders()[-1]
        self.stage.receive("reply_apple_mail", first, replace=IN_TESTS)
        self.check_invoice("held", "reply", day("03-18"))
        told = self.invoice.activity_ids.filtered(lambda a: "answered" in a.summary)
        self.check("the responsible is told", told.user_id, self.stage.env.user)
        self.tell(
            "The customer replies to the mail. The reminders wait for a week, and the "
            "responsible has an activity."
        )
        self.picture(
            "reply",
            "The invoice waits: reply to answer",
            self.stage.show_tab,
            self.invoice,
        )

    def answer(self):
        self.stage.pass_days(day("03-12"))
        self.invoice.message_post(
            body="Thank you. When can we expect it?",
            message_type="comment",
            subtype_xmlid="mail.mt_comment",
            partner_ids=self.customer.ids,
        )
        self.invoice.activity_ids.action_done()
        self.stage.commit()
        self.check_invoice("running")
        self.check("the answer arrives", len(self.stage.get_new_mails("harbour")), 1)
        self.tell("The accountant answers in the chatter: the reminders go on.")

    def open_link(self):
        self.stage.go_to(day("03-12"), 14)
        self.stage.be_nobody()
        self.stage.browser.size(800, 1000, scale=1)
        link = self.stage.get_answer_link(self.mail, "promise")
        self.stage.browser.open(link, "document.querySelector('details')")
        self.stage.commit()
        self.check_invoice("running")
        self.check(
            "nothing is said", len(self.stage.root["dunning.answer"].search([])), 0
        )
        self.tell(
            "The customer opens the link of the reminder. To open it changes nothing, "
            "as programs that look for viruses do it, too."
        )
        self.picture("page", "The page behind the link", self.stage.show_page)

    def promise(self):
        browser = self.stage.browser
        form = "document.querySelector('form:has(input[value=promise])')"
        browser.evaluate(f"{form}.closest('details').open = true")
        browser.evaluate(f"{form}.elements.date.value = '2026-03-19'")
        browser.evaluate(f"{form}.querySelector('[type=submit]').click()")
        browser.wait("location.search.includes('done=promise') && document.body")
        self.stage.commit()
        self.check_invoice("held", "promise", day("03-22"))
        self.tell(
            "He promises to pay on 19 March. The reminders wait until then, and three "
            "days more for the payment to arrive."
        )
        self.picture("promise", "What he sees then", self.stage.show_page)

    def break_promise(self):
        self.stage.pass_days(day("03-22"))
        self.check_mails()
        self.stage.pass_days(day("03-23"))
        self.check("the promise", self.invoice.dunning_hold_ids[0].outcome, "broken")
        (mail,) = self.check_mails("Second reminder")
        self.check("it goes to", mail.recipients, [ADDRESS])
        told = self.invoice.activity_ids.filtered(lambda a: "broken" in a.summary)
        self.check("the responsible is told", told.user_id, self.stage.env.user)
        self.tell(
            "Nothing came: the promise is broken, the responsible is told, and the "
            "second reminder leaves."
        )

    def bounce(self):
        self.stage.go_to(day("03-23"), 9, 2)
        second = self.get_reminders()[-1]
        self.stage.receive("dsn_failed_unknown", second, replace=IN_TESTS)
        self.check("it came back", second.state, "bounced")
        self.check_invoice("todo", "failed")
        self.tell(
            "It comes back: the address exists no more. It does not count as reminded, "
            "and the invoice says so."
        )
        self.picture(
            "bounce",
            "The invoice: the reminder came back",
            self.stage.show_tab,
            self.invoice,
        )

    def correct(self):
        self.stage.go_to(day("03-23"), 11)
        self.customer.email = CORRECTED
        self.get_reminders()[-1].action_retry()
        self.stage.commit()
        self.stage.deliver()
        (mail,) = self.check_mails("Second reminder")
        self.check("it goes to", mail.recipients, [CORRECTED])
        self.check_invoice("running")
        self.tell("The address is corrected, and the reminder sent again: it arrives.")

    def pay(self, amount):
        wizard = self.stage.env["account.payment.register"].with_context(
            active_model="account.move", active_ids=self.invoice.ids
        )
        vals = {"amount": amount, "payment_date": self.stage.day}
        wizard.create(vals)._create_payments()
        self.stage.commit()

    def pay_part(self):
        self.stage.pass_days(day("03-30"))
        self.pay(500)
        self.check("open", self.invoice.amount_residual, 700)
        self.check_invoice("running")
        self.tell("A part is paid: 500 of 1,200.")

    def remind_finally(self):
        last = self.invoice.dunning_enrollment_ids.next_date
        self.stage.pass_days(last)
        (mail,) = self.check_mails("Final reminder")
        text = mail.body("html")
        self.check(
            "it asks for the rest", ("700" in text, "1,200" in text), (True, False)
        )
        self.tell("The final reminder leaves, and asks for what is open: 700.")
        self.picture("final", "The final reminder", self.stage.show_mail, mail)

    def pay_rest(self):
        self.stage.pass_days(self.stage.day.replace(day=self.stage.day.day + 2))
        self.pay(700)
        self.check_invoice("stopped", "paid")
        self.tell("The rest is paid.")

    def be_silent(self):
        self.stage.pass_days(day("06-30"))
        self.check_mails()
        self.tell("Nothing more has left.")
        self.picture(
            "end",
            "All that happened, on the invoice",
            self.stage.show_tab,
            self.invoice,
        )
        states = self.get_reminders().mapped("state")
        self.check("reminders", states, ["sent", "sent", "bounced", "sent", "sent"])

    def play(self):
        self.set_up()
        for step in (
            self.post,
            self.be_friendly,
            self.be_due,
            self.remind,
            self.be_out_of_office,
            self.reply,
            self.answer,
            self.open_link,
            self.promise,
            self.break_promise,
            self.bounce,
            self.correct,
            self.pay_part,
            self.remind_finally,
            self.pay_rest,
            self.be_silent,
        ):
            step()
        log = Path(self.stage.args.log)
        self.check("Odoo's log", log.read_text() if log.exists() else "", "")
        (self.out / "walk.md").write_text("".join(self.text).strip() + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("database")
    parser.add_argument("--smtp-port", type=int, required=True)
    for name in ("inbox", "out", "browser", "fonts", "log"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    started = time.monotonic()
    with staged(args, day("02-03")) as stage:
        walk = Walk(stage, args.out)
        walk.play()
    print(f"{len(walk.problems)} problems; {time.monotonic() - started:.0f} s")
    sys.exit(bool(walk.problems))


if __name__ == "__main__":
    main()
