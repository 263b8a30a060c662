"""A mail server for tests: keeps what it is given, and fails as it is told to.

Plain sockets, so that it can hang up at any point of the conversation.
"""

import email
import email.policy
import re
import socketserver
import threading
from contextlib import contextmanager


class Mail:
    """One mail as the server took it: the envelope and the message."""

    def __init__(self, sender, recipients, source):
        self.sender = sender
        self.recipients = recipients
        self.source = source
        self.message = email.message_from_bytes(source, policy=email.policy.default)

    def __getitem__(self, header):
        return self.message[header]

    @property
    def subject(self):
        return self.message["Subject"]

    @property
    def html(self):
        return self.message.get_body(("html",)).get_content()

    @property
    def text(self):
        return self.message.get_body(("plain",)).get_content()

    @property
    def attachments(self):
        return {
            part.get_filename(): part.get_payload(decode=True)
            for part in self.message.iter_attachments()
        }


class _Session(socketserver.StreamRequestHandler):
    """One connection: the few commands that smtplib sends."""

    disable_nagle_algorithm = True  # else each answer of two lines takes 40 ms

    def handle(self):
        self.sink = self.server.sink
        self.sink.connections += 1
        self.sink.open += 1
        self.sink.most_open = max(self.sink.most_open, self.sink.open)
        self.sender, self.recipients = None, []
        if self.sink.hang_up == "connect":
            return
        self.say(self.sink.answers.get("connect", "220 sink"))
        while line := self.rfile.readline():
            command, _space, rest = line.decode().strip().partition(" ")
            name = command.upper()
            answer = getattr(self, f"do_{name.lower()}", None)
            if name == self.sink.hang_up:
                return
            if name in self.sink.answers:
                self.say(self.sink.answers[name])
            elif answer is None:
                self.say("502 what?")
            elif answer(rest) is False:
                return

    def finish(self):
        self.sink.open -= 1
        return super().finish()

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def do_ehlo(self, _rest):
        self.say("250-sink")
        for extension in self.sink.extensions:
            self.say(f"250-{extension}")
        self.say("250 8BITMIME")

    def do_mail(self, rest):
        self.sender, self.recipients = self.get_address(rest), []
        self.say("250 ok")

    def do_rcpt(self, rest):
        address = self.get_address(rest)
        refusal = self.sink.refused.get(address)
        if not refusal:
            self.recipients.append(address)
        self.say(refusal or "250 ok")

    def do_data(self, _rest):
        self.say("354 go on")
        if self.sink.hang_up == "text":
            return False
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(re.sub(rb"^\.\.", b".", line))
        else:
            return False  # the client left before the dot: nothing to deliver
        if self.sink.answer:
            self.say(self.sink.answer)
            return True
        if self.sink.on_dot:
            self.sink.on_dot()
        mail = Mail(self.sender, self.recipients, b"".join(lines))
        self.sink.mails.append(mail)
        if self.sink.hang_up == "dot":
            return False
        self.say(self.sink.yes)
        return self.sink.hang_up != "taken"

    def do_rset(self, _rest):
        self.say("250 ok")

    def do_quit(self, _rest):
        self.say("221 bye")
        return False

    @staticmethod
    def get_address(rest):
        return re.search(r"<(.*?)>", rest).group(1)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """The client hung up: it is tested what the client makes of it."""


class Sink:
    """The server, in a thread. Attributes tell how it behaves."""

    def __init__(self):
        self._server = _Server(("127.0.0.1", 0), _Session)
        self._server.sink = self
        self.port = self._server.server_address[1]
        self.clear()
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.daemon = True
        thread.start()

    def clear(self):
        self.mails = []
        self.connections = self.open = self.most_open = 0
        #: {address: answer to RCPT}
        self.refused = {}
        #: {command: answer to it}; "connect" for the greeting
        self.answers = {}
        #: what it says it can do
        self.extensions = ()
        #: answer to the dot, when the mail is not taken
        self.answer = None
        #: answer to the dot, when it is
        self.yes = "250 taken"
        #: hang up at this command; "connect", "text" (before the dot), "dot" (after) or
        #: "taken" (after the answer)
        self.hang_up = None
        #: called between the dot and the answer
        self.on_dot = None

    @contextmanager
    def behaving(self, **how):
        """Behave badly for the time of the block."""
        before = {name: getattr(self, name) for name in how}
        vars(self).update(how)
        try:
            yield self
        finally:
            vars(self).update(before)

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
