"""A mail server that delivers nothing: it keeps what it is given, and shows it.

    python -m dev.inbox FOLDER [--smtp-port N] [--http-port N] [--slow MS]
        [--ready-file F]

Each accepted mail becomes one file `*.eml` in FOLDER, as it came over the wire,
below three lines of ours: `X-Envelope-From`, `X-Envelope-To`, `X-Received-At`.
(The envelope tells who really gets it; there, Bcc shows.)

So that failures can be tried out, the local part of a recipient decides:
`refuse…@` is refused for good (550), `later…@` for now (451).

From Python: `with Inbox(folder) as inbox: … inbox.smtp_port … inbox.mails()`.

Why aiosmtpd: it is one small package from PyPI, pinned with the others, that needs no
second language, no container and no download at run time, and the same server can be
started inside a test. The page is the standard library's http.server.
"""

import argparse
import asyncio
import email
import email.policy
import html
import itertools
import json
import os
import random
import re
import signal
import threading
from contextlib import suppress
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from aiosmtpd.smtp import SMTP

HOST = "127.0.0.1"
PAGE = 100  # mails on one page of the list
ENVELOPE = ("X-Envelope-From", "X-Envelope-To", "X-Received-At")


class Mail:
    """One stored mail, read from its file when needed."""

    def __init__(self, path):
        self.path = path
        self.id = path.stem
        self.raw = path.read_bytes()
        self.message = email.message_from_bytes(self.raw, policy=email.policy.default)
        self.sender = self.header("X-Envelope-From")
        self.recipients = [
            str(value) for value in self.message.get_all("X-Envelope-To", [])
        ]

    def header(self, name):
        """The header's text, or an empty one (also for a header nobody can parse)."""
        try:
            return str(self.message.get(name, ""))
        except Exception:
            return "(unreadable)"

    @property
    def source(self):
        """The mail as it was sent, without our own lines."""
        return re.sub(rb"\A(?:X-(?:Envelope-|Received-At)[^\n]*\n)*", b"", self.raw)

    @property
    def bcc(self):
        """Recipients of the envelope whom the visible headers do not name."""
        visible = f"{self.header('To')} {self.header('Cc')}".lower()
        return [
            address for address in self.recipients if address.lower() not in visible
        ]

    @property
    def received_at(self):
        return self.header("X-Received-At")

    def parts(self):
        return [part for part in self.message.walk() if not part.is_multipart()]

    def body(self, subtype):
        part = self.message.get_body((subtype,))
        return part and content(part)

    def attachments(self):
        """(number, part) of each part that has a file name."""
        return [(n, part) for n, part in enumerate(self.parts()) if part.get_filename()]


def content(part):
    """The text of a part, whatever it says its charset is."""
    try:
        return part.get_content()
    except (LookupError, ValueError):
        return (part.get_payload(decode=True) or b"").decode("latin-1")


class Handler:
    """What aiosmtpd asks about each mail."""

    def __init__(self, folder, slow=0):
        self.folder = folder
        self.slow = slow / 1000
        self.number = itertools.count(1)

    async def handle_RCPT(self, server, session, envelope, address, options):
        local_part = address.strip("<>").lower()
        if local_part.startswith("refuse"):
            return "550 5.1.1 No such mailbox here (its name starts with 'refuse')"
        if local_part.startswith("later"):
            return "451 4.2.0 Not now, try later (the mailbox's name says so)"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        await asyncio.sleep(random.uniform(0, self.slow))
        now = datetime.now(timezone.utc)
        lines = [f"X-Envelope-From: {envelope.mail_from}"]
        lines += [f"X-Envelope-To: {address}" for address in envelope.rcpt_tos]
        lines += [f"X-Received-At: {now:%Y-%m-%d %H:%M:%S} UTC"]
        head = "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")
        name = f"{now:%Y%m%d-%H%M%S-%f}-{next(self.number):05}"
        # A reader never sees half a mail.
        draft = self.folder / f"{name}.tmp"
        draft.write_bytes(head + envelope.original_content)
        draft.rename(self.folder / f"{name}.eml")
        await asyncio.sleep(random.uniform(0, self.slow))
        return "250 2.0.0 Kept"


class Inbox:
    """The SMTP server and, with an `http_port`, the page. Port 0 takes a free one."""

    def __init__(self, folder, smtp_port=0, http_port=None, slow=0):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._cache = {}
        self._loop = asyncio.new_event_loop()
        self._smtp = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: SMTP(
                    Handler(self.folder, slow),
                    hostname="inbox.example",
                    enable_SMTPUTF8=True,
                    data_size_limit=None,
                    loop=self._loop,
                ),
                HOST,
                smtp_port,
            )
        )
        self.smtp_port = self._smtp.sockets[0].getsockname()[1]
        threads = [threading.Thread(target=self._loop.run_forever, daemon=True)]
        self._http = self.http_port = None
        if http_port is not None:
            try:
                self._http = ThreadingHTTPServer((HOST, http_port), page_class(self))
            except OSError:
                self._smtp.close()
                raise
            self.http_port = self._http.server_address[1]
            threads.append(
                threading.Thread(target=self._http.serve_forever, daemon=True)
            )
        for thread in threads:
            thread.start()

    def paths(self):
        """The files, newest first."""
        return sorted(self.folder.glob("*.eml"), reverse=True)

    def mail(self, path):
        if path not in self._cache:
            self._cache[path] = Mail(path)
        return self._cache[path]

    def mails(self):
        """All mails, newest first."""
        return [self.mail(path) for path in self.paths()]

    def clear(self):
        for path in self.paths():
            path.unlink()

    def stop(self):
        if self._http:
            self._http.shutdown()
            self._http.server_close()
        self._loop.call_soon_threadsafe(self._smtp.close)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.stop()


# --- the page ----------------------------------------------------------------

STYLE = """
:root { --ink:#1f2733; --soft:#6b7686; --line:#e3e7ed; --back:#f5f7f9; --card:#fff;
  --accent:#0b6e75; --tint:#e7f3f3; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6e9ee; --soft:#98a2b1;
  --line:#333b47; --back:#181c22; --card:#20262e; --accent:#6cc7cd; --tint:#24363a; } }
* { box-sizing: border-box }
body { margin:0; background:var(--back); color:var(--ink);
  font:15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif }
a { color:var(--accent); text-decoration:none } a:hover { text-decoration:underline }
header { display:flex; flex-wrap:wrap; gap:.5rem 1.5rem; align-items:center;
  padding:.9rem clamp(1rem, 4vw, 2.5rem); background:var(--card);
  border-bottom:1px solid var(--line) }
header h1 { font-size:1.15rem; margin:0 } header h1 a { color:inherit }
header p { margin:0; color:var(--soft) } header form { margin-left:auto }
input[type=search] { font:inherit; padding:.35rem .7rem; border-radius:8px;
  border:1px solid var(--line); background:var(--back); color:inherit; width:16rem;
  max-width:100% }
main { padding:1.25rem clamp(1rem, 4vw, 2.5rem) 3rem; max-width:1200px; margin:auto }
.card { background:var(--card); border:1px solid var(--line); border-radius:12px;
  overflow:hidden; margin-bottom:1rem }
.mail { display:grid; grid-template-columns:15rem 1fr auto; gap:0 1.25rem;
  grid-template-rows:auto 1fr;
  padding:.75rem 1.1rem; color:inherit; border-top:1px solid var(--line) }
.mail:first-child { border-top:0 }
.mail:hover { background:var(--tint); text-decoration:none }
.mail b, .mail span { overflow-wrap:anywhere }
.mail .to { grid-row:span 2 } .mail .soft, .soft { color:var(--soft); font-size:.9em }
.tag { display:inline-block; font-size:.78em; padding:0 .5em; border-radius:99px;
  background:var(--tint); color:var(--accent) }
h2 { font-size:1.25rem; margin:.2rem 0 1rem }
dl { display:grid; grid-template-columns:max-content 1fr; gap:.25rem 1.1rem; margin:0;
  padding:1rem 1.1rem } dt { color:var(--soft) } dd { margin:0; overflow-wrap:anywhere }
iframe { display:block; width:100%; height:65vh; border:0; background:#fff }
pre { margin:0; padding:1rem 1.1rem; white-space:pre-wrap; overflow-wrap:anywhere;
  font:13px/1.5 ui-monospace, Menlo, Consolas, monospace }
details summary { padding:.7rem 1.1rem; cursor:pointer; color:var(--accent) }
nav { display:flex; gap:1rem; justify-content:space-between }
.empty { padding:3rem; text-align:center; color:var(--soft) }
@media (max-width:700px) { .mail { grid-template-columns:1fr auto } .mail .to {
  grid-row:auto } .mail .soft { grid-column:1 / -1 } }
"""

# A mail is somebody else's text: no script runs, nothing is fetched but from this
# machine, and its links open in a new tab.
MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
    " style-src 'unsafe-inline'; font-src 'self' data:;"
    " img-src 'self' data: http://localhost:* http://127.0.0.1:*"
)
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self';"
    " form-action 'self'"
)

escape = html.escape


def page(title, body, info="", query="", refresh=False):
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width">
{'<meta http-equiv="refresh" content="10">' if refresh else ""}
<style>{STYLE}</style></head><body>
<header><h1><a href="/">Inbox</a></h1><p>{escape(info)}</p>
<form action="/"><input type="search" name="q" value="{escape(query)}"
placeholder="Search address or subject" aria-label="Search"></form></header>
<main>{body}</main></body></html>"""


def list_page(inbox, query, start):
    mails = inbox.mails()
    total = len(mails)
    if query:
        word = query.lower()
        mails = [
            mail
            for mail in mails
            if word
            in " ".join(
                [mail.header("Subject"), mail.header("From"), mail.header("To")]
                + mail.recipients
            ).lower()
        ]
    rows = "".join(row(mail) for mail in mails[start : start + PAGE])
    if not rows:
        rows = '<p class="empty">{}</p>'.format(
            "No mail matches."
            if total
            else "No mail yet. This page looks again by itself."
        )
    links = []
    for label, first in (("← newer", start - PAGE), ("older →", start + PAGE)):
        if 0 <= first < len(mails):
            links.append(f'<a href="/?q={quote(query)}&amp;start={first}">{label}</a>')
    info = f"{total} mail{'' if total == 1 else 's'}, newest first"
    if query:
        info = f"{len(mails)} of {info}"
    body = f'<div class="card">{rows}</div><nav>{"".join(links)}</nav>'
    return page("Inbox", body, info, query, refresh=not (query or start))


def row(mail):
    clip = f'<span class="tag">{len(mail.attachments())} attached</span>'
    copies = "".join(
        f'<br><span class="soft">{kind} {escape(text)}</span>'
        for kind, text in (("cc", mail.header("Cc")), ("bcc", ", ".join(mail.bcc)))
        if text
    )
    to = mail.header("To") or ", ".join(mail.recipients)
    return f"""<a class="mail" href="/mail/{quote(mail.id)}">
<span class="to">{escape(to)}{copies}</span>
<b>{escape(mail.header("Subject") or "(no subject)")}</b>
<span class="soft">{escape(mail.received_at)}</span>
<span class="soft">from {escape(mail.header("From"))}
{clip if mail.attachments() else ""}</span></a>"""


def mail_page(mail):
    url = f"/mail/{quote(mail.id)}"
    facts = [(name, mail.header(name)) for name in ("From", "To", "Cc", "Reply-To")]
    facts += [
        ("Bcc", ", ".join(mail.bcc)),
        ("Date", mail.header("Date")),
        ("Envelope", f"{mail.sender or '<>'} → {', '.join(mail.recipients)}"),
        ("Received", mail.received_at),
    ]
    lines = "".join(f"<dt>{k}</dt><dd>{escape(v)}</dd>" for k, v in facts if v)
    files = ", ".join(
        f'<a href="{url}/part/{n}" download>{escape(part.get_filename())}</a>'
        for n, part in mail.attachments()
    )
    if files:
        lines += f"<dt>Attached</dt><dd>{files}</dd>"
    text = mail.body("plain")
    if mail.body("html"):
        shown = (
            f'<iframe src="{url}/html" title="The mail"'
            ' sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>'
        )
    else:
        shown = f"<pre>{escape(text or '(no text)')}</pre>"
    folded = ""
    if text and mail.body("html"):
        folded += (
            f"<details><summary>Plain text</summary><pre>{escape(text)}</pre></details>"
        )
    headers = "".join(
        f"{name}: {value}\n"
        for name, value in mail.message.raw_items()
        if name not in ENVELOPE
    )
    folded += (
        f"<details><summary>Headers</summary><pre>{escape(headers)}</pre></details>"
    )
    body = f"""<h2>{escape(mail.header("Subject") or "(no subject)")}</h2>
<div class="card"><dl>{lines}</dl></div><div class="card">{shown}</div>
<div class="card">{folded}</div>
<nav><a href="/">← all mails</a><a href="{url}/source">source</a></nav>"""
    return page(mail.header("Subject"), body)


def mail_html(mail):
    """The mail's HTML; pictures that it carries come from here."""
    text = mail.body("html") or ""
    for n, part in enumerate(mail.parts()):
        cid = str(part.get("Content-ID", "")).strip("<> ")
        if cid:
            text = text.replace(f"cid:{cid}", f"/mail/{quote(mail.id)}/part/{n}")
    return f'<base target="_blank">{text}'


class Page(BaseHTTPRequestHandler):
    """Answers for one inbox: see `page_class`."""

    protocol_version = "HTTP/1.1"
    inbox = None

    def do_GET(self):
        # The mails hold access links. A page from elsewhere must not read them
        # by having its own name point to this machine.
        if self.headers.get("Host", "").split(":")[0] not in ("localhost", HOST):
            return self.answer(403, "Only as localhost.")
        url = urlsplit(self.path)
        try:
            return self.route(url.path, parse_qs(url.query))
        except (LookupError, ValueError, OSError):
            return self.answer(404, page("Not found", "<p>There is no such page.</p>"))

    do_HEAD = do_GET

    def route(self, path, args):
        if path == "/":
            start = max(int(args.get("start", ["0"])[0]), 0)
            query = args.get("q", [""])[0]
            return self.answer(200, list_page(self.inbox, query, start))
        found = re.fullmatch(r"/mail/([\w-]+)(?:/(html|source|part/(\d+)))?", path)
        if not found:
            raise LookupError(path)
        name, view, number = found.groups()
        mail = self.inbox.mail(self.inbox.folder / f"{name}.eml")
        if not view:
            return self.answer(200, mail_page(mail))
        if view == "html":
            return self.answer(200, mail_html(mail), policy=MAIL_POLICY)
        if view == "source":
            return self.answer(200, mail.source, "text/plain; charset=utf-8")
        return self.answer_part(mail.parts()[int(number)])

    def answer_part(self, part):
        """Pictures are shown in the mail; anything else is saved, never opened."""
        kind = part.get_content_type()
        inline = kind in ("image/png", "image/jpeg", "image/gif")
        return self.answer(
            200,
            part.get_payload(decode=True) or b"",
            kind if inline else "application/octet-stream",
            filename=None if inline else part.get_filename() or "part",
        )

    def answer(
        self,
        status,
        data,
        kind="text/html; charset=utf-8",
        policy=PAGE_POLICY,
        filename=None,
    ):
        if isinstance(data, str):
            data = data.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        if filename:
            disposition = f"attachment; filename*=UTF-8''{quote(filename)}"
            self.send_header("Content-Disposition", disposition)
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):
                self.wfile.write(data)

    def log_message(self, format, *args):
        pass


def page_class(inbox):
    """The standard library makes one object a request: the inbox is the class's."""
    return type("Page", (Page,), {"inbox": inbox})


def main():
    parser = argparse.ArgumentParser(description="Keep and show mails, deliver none.")
    parser.add_argument("folder", help="where the mails are kept")
    parser.add_argument("--smtp-port", type=int, default=0, help="0 takes a free port")
    parser.add_argument(
        "--http-port", type=int, help="0 takes a free port; none: no page"
    )
    parser.add_argument(
        "--slow",
        type=int,
        default=0,
        metavar="MS",
        help="up to so many milliseconds pass before and after a mail is kept",
    )
    parser.add_argument(
        "--ready-file", help="written when both listen: the ports, as JSON"
    )
    args = parser.parse_args()
    try:
        inbox = Inbox(args.folder, args.smtp_port, args.http_port, args.slow)
    except OSError as error:
        parser.exit(1, f"The inbox cannot listen: {error}\n")
    ports = {
        "smtp_port": inbox.smtp_port,
        "http_port": inbox.http_port,
        "pid": os.getpid(),
    }
    if args.ready_file:
        draft = Path(f"{args.ready_file}.tmp")
        draft.write_text(json.dumps(ports))
        draft.rename(args.ready_file)
    print(f"SMTP on {HOST}:{inbox.smtp_port}", flush=True)
    if inbox.http_port:
        print(f"Read the mails at http://localhost:{inbox.http_port}", flush=True)
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    stop.wait()
    inbox.stop()


if __name__ == "__main__":
    main()
