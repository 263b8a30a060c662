"""Take the pictures of the README: `make pictures` (dev/pictures) calls it.

    python -m dev.pictures ODOO_PORT INBOX OUT BROWSER FONTS

A headless Chromium is told over its DevTools protocol what to open and to keep.
"""

import base64
import html
import io
import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import websocket
from PIL import Image

from dev.inbox import Inbox, Mail

TIMEOUT = 60
#: Pictures are sharp on dense screens, and stay small: see `keep`.
SCALE = 1.5
COLORS = 128

#: The same letters on any machine: Odoo ships this font.
FONTCONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<dir>/usr/share/fonts</dir><dir>{fonts}</dir><cachedir>{cache}</cachedir>
{aliases}
</fontconfig>"""
ALIAS = """<match><test name="family"><string>{}</string></test><edit name="family"
mode="assign" binding="strong"><string>Open Sans</string></edit></match>"""

open_url = build_opener(ProxyHandler({})).open


class Browser:
    """One tab."""

    def __init__(self, folder, program, fonts):
        aliases = "".join(
            ALIAS.format(name) for name in ("Arial", "Helvetica", "sans-serif")
        )
        config = Path(folder) / "fonts.conf"
        config.write_text(
            FONTCONFIG.format(fonts=fonts, cache=f"{folder}/fonts", aliases=aliases)
        )
        self.process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-extensions",
                "--hide-scrollbars",
                "--no-first-run",
                "--no-proxy-server",
                "--lang=en-US",
                "--remote-debugging-port=0",
                "--remote-allow-origins=*",
                f"--user-data-dir={folder}/profile",
                "about:blank",
            ],
            env={
                "FONTCONFIG_FILE": str(config),
                "HOME": folder,
                "PATH": "/usr/bin:/bin",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ready = Path(folder) / "profile" / "DevToolsActivePort"
        port = wait_until(lambda: ready.exists() and ready.read_text().split()[:1])[0]
        tabs = json.load(open_url(f"http://127.0.0.1:{port}/json"))
        url = next(tab for tab in tabs if tab["type"] == "page")["webSocketDebuggerUrl"]
        self.socket = websocket.create_connection(url, timeout=TIMEOUT)
        self.number = 0

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def size(self, width, height):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=SCALE,
            mobile=False,
        )

    def evaluate(self, expression):
        answer = self.call(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def open(self, url, ready):
        """Go there, and wait until the expression ``ready`` is true."""
        self.call("Page.navigate", url=url)
        self.wait(ready)

    def wait(self, expression):
        def is_true():
            try:
                return self.evaluate(f"!!({expression})")
            except RuntimeError:  # the page is just being replaced
                return False

        wait_until(is_true, expression)

    def keep(self, path, selector, margin=0, until=None):
        """Save the part of the page that an element takes.

        :param until: another element, with whose lower end the picture ends
        """
        x, y, right, bottom = self.evaluate(
            f"""(() => {{
                const from = document.querySelector({json.dumps(selector)});
                const to = document.querySelector({json.dumps(until or selector)});
                const a = from.getBoundingClientRect(), b = to.getBoundingClientRect();
                return [a.left, a.top, a.right, b.bottom];
            }})()"""
        )
        x, y = max(x - margin, 0), max(y - margin, 0)
        clip = {
            "x": x,
            "y": y,
            "width": right + margin - x,
            "height": bottom + margin - y,
            "scale": 1,
        }
        answer = self.call("Page.captureScreenshot", format="png", clip=clip)
        image = Image.open(io.BytesIO(base64.b64decode(answer["data"])))
        image = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        image.save(path, optimize=True)
        print(
            f"{path}  {image.width} x {image.height}  {path.stat().st_size // 1024} kB"
        )


def wait_until(condition, what="the browser"):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise TimeoutError(f"Waited in vain: {what}")


@contextmanager
def browsing(program, fonts):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder, program, fonts)
        try:
            yield browser
        finally:
            browser.close()


def show_mail(browser, mail, path):
    """A mail, below the few lines that any mail program shows of its head."""
    facts = "".join(
        f'<div><span style="color:#6b7280;display:inline-block;width:52px">{name}'
        f"</span>{html.escape(mail.header(header))}</div>"
        for name, header in (("De", "From"), ("À", "To"))
    )
    head = (
        '<div id="head" style="font:13px/1.6 Arial;color:#1f2937;background:#fff;'
        'padding:14px 28px;border-bottom:1px solid #d1d5db">'
        f'<div style="font-size:17px;font-weight:bold;margin-bottom:4px">'
        f"{html.escape(mail.header('Subject'))}</div>{facts}</div>"
    )
    before, body, after = mail.body("html").partition("<body")
    tag, _end, rest = after.partition(">")
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as page:
        page.write(f"<!DOCTYPE html>{before}{body}{tag}>{head}{rest}")
        page.flush()
        browser.size(760, 1400)
        browser.open(f"file://{page.name}", "document.querySelector('#head + *')")
        browser.keep(path, "body")


def log_in(browser, url):
    browser.size(1280, 1000)
    browser.open(f"{url}/web/login", "document.querySelector('#password')")
    browser.evaluate(
        """(() => {
            document.querySelector("#login").value = "admin";
            document.querySelector("#password").value = "admin";
            document.querySelector("form.oe_login_form").submit();
        })()"""
    )
    browser.wait("document.querySelector('.o_web_client .o_main_navbar')")


def call(browser, model, method, *args, **kwargs):
    """A method of a model, through the page's own session."""
    data = {"model": model, "method": method, "args": args, "kwargs": kwargs}
    body = json.dumps({"jsonrpc": "2.0", "method": "call", "params": data})
    answer = browser.evaluate(
        f"""fetch("/web/dataset/call_kw", {{
            method: "POST", headers: {{"Content-Type": "application/json"}},
            body: {json.dumps(body)}}}).then(response => response.json())"""
    )
    if "error" in answer:
        raise RuntimeError(answer["error"]["data"]["message"])
    return answer["result"]


def show_invoice(browser, url, path):
    """The one in three instalments: some past, some to come."""
    (invoice,) = call(
        browser,
        "account.move",
        "search",
        [("invoice_payment_term_id.name", "like", "40 %"), ("state", "=", "posted")],
        limit=1,
    )
    browser.size(1240, 1600)
    tab = "document.querySelector('.o_notebook .nav-link[name=dunning]')"
    page = f"{url}/odoo/action-account.action_move_out_invoice_type/{invoice}"
    browser.open(page, tab)
    browser.evaluate(f"{tab}.click()")
    browser.wait("document.querySelectorAll('.tab-pane.active .o_data_row').length > 2")
    tidy(browser)
    browser.keep(path, ".o_form_sheet", until=".o_notebook")


def show_sequence(browser, url, path):
    (sequence,) = call(
        browser,
        "dunning.sequence",
        "search",
        [("state", "=", "running"), ("grouping", "=", "customer")],
        limit=1,
    )
    browser.size(1240, 1000)
    page = f"{url}/odoo/action-dunning_sequences.dunning_sequence_action/{sequence}"
    browser.open(page, "document.querySelectorAll('.o_data_row').length > 2")
    tidy(browser)
    browser.keep(path, ".o_form_view_container", until=".o_form_sheet")


def tidy(browser):
    """Nothing moves, nothing hovers."""
    browser.evaluate(
        """(() => {
            const style = document.createElement("style");
            style.textContent = `* { animation: none !important;
                caret-color: transparent; transition: none !important }
                .o_notification_manager, .o-mail-ChatHub { display: none !important }`;
            document.head.append(style);
            document.activeElement?.blur();
        })()"""
    )
    time.sleep(0.5)


def show_inbox(browser, folder, path):
    with Inbox(folder, http_port=0) as inbox:
        browser.size(1100, 1300)
        url = f"http://127.0.0.1:{inbox.http_port}/"
        browser.open(url, "document.querySelector('.mail')")
        browser.evaluate("document.body.style.fontFamily = 'sans-serif'")
        browser.keep(path, "body", until=".mail:nth-child(8)")


def main(port, folder, out, program, fonts):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    mails = [Mail(file) for file in sorted(Path(folder).glob("*.eml"))]
    # The richest French one: several invoices of one customer.
    mail = max(
        (m for m in mails if 'lang="fr' in (m.body("html") or "")),
        key=lambda m: len(m.body("html")),
    )
    with browsing(program, fonts) as browser:
        show_mail(browser, mail, out / "mail.png")
        show_inbox(browser, folder, out / "inbox.png")
        wait_until(lambda: is_up(url), "Odoo")
        log_in(browser, url)
        show_invoice(browser, url, out / "invoice.png")
        show_sequence(browser, url, out / "sequence.png")


def is_up(url):
    try:
        return open_url(f"{url}/web/login", timeout=TIMEOUT)
    except OSError:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
