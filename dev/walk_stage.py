"""What the walk is played on: a clock, a mail server, Odoo's gateway and a camera.

Odoo runs in this process, web pages included, so that all of it has the same clock;
the browser's is put right on each page.
"""

import contextlib
import html
import re
import socket
import subprocess
import sys
from datetime import datetime, time, timedelta
from pathlib import Path
from unittest.mock import patch

from freezegun import freeze_time

import odoo
import odoo.init  # noqa: F401  (the names of `odoo`)
from odoo import SUPERUSER_ID, api, fields
from odoo.modules.registry import Registry
from odoo.service import server
from odoo.tools import config, file_path

from dev.browser import browsing
from dev.inbox import Mail
from dev.pictures import log_in, show_mail, tidy

#: The real ones: what was caught by the tests of incoming mail.
MAILS = Path(__file__).parents[1] / "dunning_sequences" / "tests" / "data"

#: The links of the answer page in the mails.
ANSWER_LINKS = re.compile(r'href="([^"]*/dunning/answer/[^"]*)"')

#: The browser's clock is put forward or back to ours.
CLOCK = """(() => {{
    const RealDate = Date, offset = {now} - RealDate.now();
    window.Date = class extends RealDate {{
        constructor(...args) {{
            args.length ? super(...args) : super(RealDate.now() + offset);
        }}
        static now() {{ return RealDate.now() + offset; }}
    }};
}})()"""


def get_free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def odoo_running(args):
    """Odoo with its pages, without crons; yields its address."""
    port = get_free_port()
    config.parse_config(
        ["-c", args.config, "-d", args.database, "--max-cron-threads=0"]
        + ["--http-interface=127.0.0.1", f"--http-port={port}"]
        + ["--log-level=warn", f"--logfile={args.log}"]
        # Odoo's own odoo-mailgate.py still uses what it warns of.
        + ["--log-handler=odoo.addons.rpc.controllers.xmlrpc:ERROR"]
    )
    server.load_server_wide_modules()
    server.server = server.ThreadedServer(odoo.http.root)
    server.server.start()
    yield f"http://127.0.0.1:{port}"
    server.server.stop()


class Stage:
    """A company's days, its mailbox and what can be seen of both."""

    def __init__(self, args, url, browser, clock):
        self.args, self.url, self.browser, self.clock = args, url, browser, clock
        self.cr = Registry(args.database).cursor()
        self.root = api.Environment(self.cr, SUPERUSER_ID, {})
        self.env = self.root(user=self.root.ref("base.user_admin"))
        self.seen, self.browser_clock = set(), None

    # --- the clock ------------------------------------------------------------

    def go_to(self, day, hour=9, minute=0):
        self.day = day
        self.clock.move_to(datetime.combine(day, time(hour, minute)))

    def pass_days(self, until):
        """Do what the crons do on each day up to and on this one."""
        day = self.day
        while day < until:
            day += timedelta(days=1)
            self.go_to(day)
            self.play_day()

    def play_day(self):
        """Run and deliver, each in a transaction of its own."""
        self.root["dunning.enrollment"]._run(today=self.day)
        self.commit()
        self.deliver()

    def deliver(self):
        self.root["dunning.reminder"]._deliver(now=fields.Datetime.now())
        self.commit()

    def commit(self):
        """…and see what others have committed meanwhile."""
        self.env.flush_all()
        self.cr.commit()
        self.root["dunning.enrollment"]._drain_marks(self.day)
        self.cr.commit()

    # --- mails ------------------------------------------------------------------

    def get_new_mails(self, word):
        """What has arrived since the last call, oldest first.

        :param word: of the address
        """
        paths = sorted(Path(self.args.inbox).glob("*.eml"))
        mails = [Mail(path) for path in paths if path not in self.seen]
        self.seen.update(paths)
        return [mail for mail in mails if word in str(mail.recipients)]

    def receive(self, name, reminder, **changes):
        """A mail that answers a reminder comes in, as a mail server hands it over.

        :param name: of a file of the tests
        :param changes: {what the file says: what this one says}, as keyword `replace`
        """
        source = (MAILS / f"{name}.eml").read_text(encoding="utf-8")
        source = source.replace(
            "REMINDER@company.example.com", reminder.message_id.strip("<>")
        )
        for old, new in changes.get("replace", {}).items():
            source = source.replace(old, new)
        port = self.url.rpartition(":")[2]
        self.commit()
        subprocess.run(
            [sys.executable, file_path("mail/static/scripts/odoo-mailgate.py")]
            + ["-d", self.args.database, "-u", str(self.env.uid), "-p", "admin"]
            + ["--host", "127.0.0.1", "--port", port],
            input=source.encode(),
            check=True,
        )
        self.commit()

    def get_answer_link(self, mail, kind):
        links = ANSWER_LINKS.findall(mail.body("html"))
        return next(html.unescape(link) for link in links if f"kind={kind}" in link)

    # --- pictures ---------------------------------------------------------------

    def set_browser_clock(self):
        if self.browser_clock:
            self.browser.call(
                "Page.removeScriptToEvaluateOnNewDocument",
                identifier=self.browser_clock,
            )
        now = (datetime.now() - datetime(1970, 1, 1)).total_seconds() * 1000
        self.browser_clock = self.browser.call(
            "Page.addScriptToEvaluateOnNewDocument", source=CLOCK.format(now=int(now))
        )["identifier"]

    def be_nobody(self):
        """Look at the next page without a login, as a customer does.

        The page before is left first: what it still asks for would bring a session
        back, and the form to log in would belong to another one.
        """
        self.browser.open("about:blank", "location.href === 'about:blank'")
        self.browser.call("Network.clearBrowserCookies")
        self.set_browser_clock()

    def show_mail(self, mail, path):
        names = (("From", "From"), ("To", "To"), ("Date", "Date"))
        show_mail(self.browser, mail, path, names, scale=1)

    def show_tab(self, invoice, path):
        """The tab of the reminders on the invoice, as its accountant sees it."""
        self.commit()
        self.be_nobody()
        log_in(self.browser, self.url)
        self.browser.size(1180, 1500, scale=1)
        tab = "document.querySelector('.o_notebook .nav-link[name=dunning]')"
        page = f"odoo/action-account.action_move_out_invoice_type/{invoice.id}"
        self.browser.open(f"{self.url}/{page}", tab)
        past = ".o_notebook [name=dunning_reminder_line_ids]"
        self.browser.evaluate(f"{tab}.click()")
        self.browser.wait(f"document.querySelector('{past} .o_data_row')")
        tidy(self.browser)
        self.browser.keep(path, ".o_notebook", margin=8, until=past)

    def show_page(self, path):
        """The answer page that is open."""
        self.browser.keep(path, "main", until="main > *")


@contextlib.contextmanager
def staged(args, moment):
    """A stage on which it is this moment."""
    with (
        browsing(args.browser, args.fonts) as browser,
        odoo_running(args) as url,
        # Waiting for the browser is measured by the real clock.
        freeze_time(moment, ignore=["dev.browser"]) as clock,
        patch.object(odoo.sql_db.BaseCursor, "now", lambda _cr: fields.Datetime.now()),
    ):
        stage = Stage(args, url, browser, clock)
        stage.go_to(moment)
        with stage.cr:
            yield stage
