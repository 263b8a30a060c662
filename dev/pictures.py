"""Take the pictures of README and guide: `make pictures` (dev/pictures) calls it.

python -m dev.pictures ODOO_PORT INBOX OUT BROWSER FONTS [NAME…]
"""

import html
import json
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from dev.browser import COLORS, SCALE, TIMEOUT, browsing, open_url, wait_until
from dev.inbox import Inbox, Mail

#: Width of the pages that the guide shows: wide enough for Odoo's lists.
WIDTH = 1400

#: What a French mail program shows of a mail's head.
IN_FRENCH = (("De", "From"), ("À", "To"))


#: The same mail as others see it: {name of the picture: how}.
MAILS = {
    "mail": {},
    "mail-phone": {"width": 360},
    "mail-dark": {"width": 360, "dark": True},
}

#: How the way to the page of a reminder begins.
ANSWER = "/dunning/answer/"

#: The head of a mail in a mail program: text, paper.
LIGHT, DARK = ("#1f2937", "#ffffff"), ("#e5e7eb", "#1f2937")


def show_mail(browser, mail, path, names=IN_FRENCH, scale=SCALE, width=760, dark=False):
    """A mail, below the few lines that any mail program shows of its head.

    :param names: (name, header) of these lines
    :param width: of the program's window, in pixels
    :param dark: has the reader chosen dark colours?
    """
    text, paper = DARK if dark else LIGHT
    facts = "".join(
        f'<div><span style="color:#6b7280;display:inline-block;width:52px">{name}'
        f"</span>{html.escape(mail.header(header))}</div>"
        for name, header in names
    )
    head = (
        f'<div id="head" style="font:13px/1.6 Arial;color:{text};background:{paper};'
        'padding:14px 4%;border-bottom:1px solid #9ca3af">'
        f'<div style="font-size:17px;font-weight:bold;margin-bottom:4px">'
        f"{html.escape(mail.header('Subject'))}</div>{facts}</div>"
    )
    before, body, after = mail.body("html").partition("<body")
    tag, _end, rest = after.partition(">")
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as page:
        page.write(f"<!DOCTYPE html>{before}{body}{tag}>{head}{rest}")
        page.flush()
        browser.size(width, 2400, scale)
        browser.prefer("dark" if dark else "light")
        browser.open(f"file://{page.name}", "document.querySelector('#head + *')")
        browser.keep(path, "body")
        browser.prefer("light")


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
    open_tab(browser, url, invoice)
    browser.wait("document.querySelectorAll('.tab-pane.active .o_data_row').length > 2")
    tidy(browser)
    browser.keep(path, ".o_form_sheet", until=".o_notebook")


def open_tab(browser, url, invoice):
    """Open an invoice at its tab Reminders."""
    browser.size(1240, 1600)
    tab = "document.querySelector('.o_notebook .nav-link[name=dunning]')"
    page = f"{url}/odoo/action-account.action_move_out_invoice_type/{invoice}"
    browser.open(page, tab)
    browser.evaluate(f"{tab}.click()")


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


def open_action(browser, url, action, ready):
    """Open a list or a form of ours, as wide as the guide wants it."""
    browser.size(WIDTH, 1000, scale=1)
    browser.open(f"{url}/odoo/action-{action}", f"document.querySelector({ready!r})")


def keep_list(browser, path, rows):
    """Keep the first rows of the list that is open."""
    tidy(browser)
    browser.evaluate(
        f"""[...document.querySelectorAll(".o_data_row")].slice({rows})
            .forEach(row => row.remove())"""
    )
    browser.keep(path, ".o_action", until=".o_list_table")


def show_work_list(browser, url, path):
    open_action(browser, url, TODO_ACTION, ".o_data_row")
    browser.evaluate("document.querySelector('.o_list_record_selector input').click()")
    browser.wait("document.querySelector('.o_control_panel [name=action_approve]')")
    keep_list(browser, path, 8)


def show_coming(browser, url, path):
    action = "dunning_sequences.dunning_enrollment_action"
    open_action(browser, url, action, ".o_data_row")
    keep_list(browser, path, 12)


def show_invoices(browser, url, path):
    action = "account.action_move_out_invoice_type"
    open_action(browser, url, action, ".o_data_row")
    keep_list(browser, path, 14)


def show_customer(browser, url, path):
    """One with a pause in the past and several invoices."""
    domain = [("name", "=", "Boulangerie Dupont")]
    (customer,) = call(browser, "res.partner", "search", domain, limit=1)
    page = f"account.res_partner_action_customer/{customer}"
    tab = ".o_notebook .nav-link[name=dunning]"
    open_action(browser, url, page, tab)
    browser.size(1200, 1400, scale=1)
    browser.evaluate(f"document.querySelector('{tab}').click()")
    browser.wait("document.querySelector('.tab-pane.active .o_data_row')")
    tidy(browser)
    browser.keep(path, ".o_notebook", margin=8)


def show_settings(browser, url, path):
    open_action(browser, url, "account.action_account_config", "#dunning_safety")
    browser.evaluate("document.querySelector('#dunning_texts').scrollIntoView()")
    tidy(browser)
    browser.keep(path, ".row:has(> #dunning_texts)")


def show_simulation(browser, url, path):
    action = "dunning_sequences.dunning_simulation_action_open"
    open_action(browser, url, action, ".o_dunning_simulation_summary")
    browser.size(WIDTH, 1400, scale=1)
    tidy(browser)
    browser.keep(path, ".o_action", until=".o_dunning_simulation_summary table")


def show_reminder(browser, url, path):
    """One that waits for approval."""
    action = "dunning_sequences.dunning_reminder_action_to_approve"
    open_action(browser, url, action, ".o_data_row")
    browser.evaluate("document.querySelector('.o_data_row td[name=date]').click()")
    browser.wait("document.querySelector('.tab-pane.active [name=body]')")
    tidy(browser)
    browser.keep(path, ".o_action", until=".tab-pane.active [name=body]")


def show_letter(browser, url, path):
    """A letter as its page, from the same text as the PDF."""
    english = [("channel", "=", "letter"), ("lang", "=", "en_US")]
    (letter,) = call(browser, "dunning.reminder", "search", english, limit=1)
    browser.size(794, 1123, scale=1)  # A4
    page = f"{url}/report/html/dunning_sequences.report_dunning_letter/{letter}"
    browser.open(page, "document.querySelector('.article')")
    browser.keep(path, "body")


def show_answer(browser, url, path, folder):
    """The page behind a reminder's links, on a phone."""
    link = get_answer_link(folder)
    browser.size(390, 820)
    browser.open(f"{url}{link}?kind=promise", "document.querySelector('details[open]')")
    browser.keep(path, "body")


def get_answer_link(folder):
    """The way from an English mail about several invoices, without the server."""
    mails = [Mail(file) for file in sorted(Path(folder).glob("*.eml"))]
    texts = [m.body("html") or "" for m in mails]
    english = [text for text in texts if 'lang="en' in text and ANSWER in text]
    text = max(english, key=len)
    return ANSWER + text.partition(ANSWER)[2].partition("?")[0]


def show_claim(browser, url, path):
    """What is claimed of an invoice that is late; the demo claims nothing."""
    sequences = call(browser, "dunning.sequence", "search", [("state", "=", "running")])
    call(browser, "dunning.sequence", "write", sequences, {"claim_policy": "legal"})
    late = [
        ("dunning_enrollment_ids.state", "in", ("running", "done")),
        ("partner_id.is_company", "=", True),
        ("payment_state", "=", "not_paid"),
    ]
    order = "invoice_date_due"
    (invoice,) = call(browser, "account.move", "search", late, order=order, limit=1)
    open_tab(browser, url, invoice)
    browser.wait("document.querySelector('[name=dunning_claim_detail]')")
    tidy(browser)
    browser.keep(path, "[name=claim]")


def show_collection(browser, url, path):
    action = "dunning_sequences.dunning_enrollment_action_collection"
    open_action(browser, url, action, ".o_data_row")
    browser.evaluate("document.querySelector('.o_list_record_selector input').click()")
    browser.wait("document.querySelector('.o_control_panel_actions button')")
    keep_list(browser, path, 8)


def show_analysis(browser, url, path):
    """Step by step, as numbers."""
    action = "dunning_sequences.dunning_analysis_action"
    open_action(browser, url, action, ".o_graph_canvas_container canvas")
    browser.evaluate("document.querySelector('.o_switch_view.o_pivot').click()")
    browser.wait("document.querySelector('.o_pivot_cell_value')")
    tidy(browser)
    browser.keep(path, ".o_action", until=".o_pivot table")


def show_ageing(browser, url, path):
    action = "dunning_sequences.dunning_ageing_action"
    open_action(browser, url, action, ".o_pivot_cell_value")
    tidy(browser)
    browser.keep(path, ".o_action", until=".o_pivot table")


def show_dashboard(browser, url, path):
    action = "spreadsheet_dashboard.ir_actions_dashboard_action"
    open_action(browser, url, action, ".o_dashboard_name")
    browser.evaluate(
        """[...document.querySelectorAll(".o_dashboard_name")]
            .find(name => name.textContent.includes("Payment Reminders")).click()"""
    )
    browser.wait("document.querySelectorAll('.o-figure canvas').length > 6")
    time.sleep(2)  # until the figures have come, which no element tells
    tidy(browser)
    browser.keep(path, ".o_renderer")


TODO_ACTION = "dunning_sequences.dunning_enrollment_action_todo"

#: Pictures of Odoo's pages, by name.
SCENES = {
    "invoice": show_invoice,
    "sequence": show_sequence,
    "work-list": show_work_list,
    "coming": show_coming,
    "invoices": show_invoices,
    "customer": show_customer,
    "settings": show_settings,
    "simulation": show_simulation,
    "reminder": show_reminder,
    "letter": show_letter,
    "claim": show_claim,
    "collection": show_collection,
    "analysis": show_analysis,
    "ageing": show_ageing,
    "dashboard": show_dashboard,
}

#: Those that the description of the addon shows, too, and where.
DESCRIPTION = ("sequence", "invoices", "work-list")
SHOP = Path("dunning_sequences/static/description")


def main(port, folder, out, program, fonts, *names):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    known = (*MAILS, "inbox", "answer", *SCENES)
    names = names or known
    unknown = set(names) - set(known)
    if unknown:
        sys.exit(f"No picture is called {', '.join(sorted(unknown))}")
    with browsing(program, fonts) as browser:
        for name in (name for name in names if name in MAILS):
            mail = get_richest_mail(folder)
            show_mail(browser, mail, out / f"{name}.png", **MAILS[name])
        if "inbox" in names:
            show_inbox(browser, folder, out / "inbox.png")
        wait_until(lambda: is_up(url), "Odoo")
        if "answer" in names:
            show_answer(browser, url, out / "answer.png", folder)
        log_in(browser, url)
        for name in (name for name in names if name in SCENES):
            SCENES[name](browser, url, out / f"{name}.png")
            if name in DESCRIPTION:
                shrink(out / f"{name}.png", SHOP / f"{name}.png")


def shrink(path, smaller):
    """For the description in the apps list, 960 pixels wide."""
    image = Image.open(path).convert("RGB")
    size = (960, image.height * 960 // image.width)
    image = image.resize(size, Image.Resampling.LANCZOS)
    image.quantize(COLORS, dither=Image.Dither.NONE).save(smaller, optimize=True)


def get_richest_mail(folder):
    """The French one with most to show: several invoices of one customer."""
    mails = [Mail(file) for file in sorted(Path(folder).glob("*.eml"))]
    return max(
        (m for m in mails if 'lang="fr' in (m.body("html") or "")),
        key=lambda m: len(m.body("html")),
    )


def is_up(url):
    try:
        return open_url(f"{url}/web/login", timeout=TIMEOUT)
    except OSError:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
