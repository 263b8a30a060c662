"""The inbox: what it keeps, what it refuses, what its page shows."""

import smtplib
import urllib.error
import urllib.request
from email.message import EmailMessage

import pytest

from dev.inbox import Inbox


@pytest.fixture
def inbox(tmp_path):
    with Inbox(tmp_path, http_port=0) as inbox:
        yield inbox


def send(inbox, *recipients, subject="Hello", html="<p>Hi</p>"):
    message = EmailMessage()
    message["From"] = "Company <from@example.com>"
    message["To"] = recipients[0]
    message["Subject"] = subject
    message.set_content("Hi")
    message.add_alternative(html, subtype="html")
    message.add_attachment(b"%PDF", "application", "pdf", filename="été.pdf")
    with smtplib.SMTP("127.0.0.1", inbox.smtp_port) as smtp:
        return smtp.send_message(message, "bounce@example.com", recipients)


def get(inbox, path, host="localhost"):
    url = f"http://127.0.0.1:{inbox.http_port}{path}"
    request = urllib.request.Request(url, headers={"Host": host})
    with urllib.request.urlopen(request) as response:
        return response.headers, response.read().decode()


def test_keeps_the_mail_with_its_envelope(inbox):
    send(inbox, "a@example.com", "hidden@example.com")
    (mail,) = inbox.mails()
    assert mail.sender == "bounce@example.com"
    assert mail.recipients == ["a@example.com", "hidden@example.com"]
    assert mail.bcc == ["hidden@example.com"]
    assert mail.source.startswith(b"From: Company <from@example.com>")
    assert mail.body("html").strip() == "<p>Hi</p>"


@pytest.mark.parametrize(
    ("address", "code"), [("refuse1@x.org", 550), ("later@x.org", 451)]
)
def test_refuses(inbox, address, code):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        send(inbox, address)
    assert caught.value.recipients[address][0] == code
    assert send(inbox, "a@example.com", address)[address][0] == code
    assert inbox.mails()[0].recipients == ["a@example.com"]


def test_page_escapes_and_isolates(inbox):
    send(inbox, "a@example.com", subject="<script>1</script>", html="<b>x</b><script>")
    _headers, text = get(inbox, "/")
    assert "&lt;script&gt;" in text and "<script" not in text
    url = f"/mail/{inbox.mails()[0].id}"
    _headers, text = get(inbox, url)
    assert "été.pdf" in text and "<script" not in text
    headers, text = get(inbox, f"{url}/html")
    assert "<script>" in text
    assert "sandbox" in headers["Content-Security-Policy"]
    assert "allow-scripts" not in headers["Content-Security-Policy"]
    headers, text = get(inbox, f"{url}/part/2")
    assert text == "%PDF"
    assert headers["Content-Disposition"].startswith("attachment")


def test_search(inbox):
    send(inbox, "a@example.com", subject="First")
    send(inbox, "b@example.com", subject="Second")
    _headers, text = get(inbox, "/?q=b@EXAMPLE.com")
    assert "Second" in text and "First" not in text


@pytest.mark.parametrize(
    ("path", "host", "code"),
    [
        ("/", "evil.example", 403),
        ("/mail/nothing", "localhost", 404),
        ("/mail/..%2f..%2fetc", "localhost", 404),
        ("/?start=x", "localhost", 404),
    ],
)
def test_answers_nothing_else(inbox, path, host, code):
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(inbox, path, host)
    assert caught.value.code == code
