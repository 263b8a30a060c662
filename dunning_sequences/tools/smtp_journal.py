"""Journal an SMTP hand-over just before its point of no return.

A server may deliver a message once it has read the dot that ends it, and not
before (RFC 5321, 4.1.1.4). Whoever writes a durable note between the last line
and the dot knows after a crash: no note, nothing was delivered, send it again; a
note without an answer, it may have been delivered, do not.
"""

import re
import smtplib
import socket
import types

_DOT_AT_LINE_START = re.compile(rb"(?m)^\.")


#: The class itself: tests put something else under its name.
_SMTP = smtplib.SMTP


class AlreadyJournalled(Exception):
    """This hand-over was journalled before: somebody else may have sent it."""


def journal_data(session, write_ahead):
    """Make ``session`` call ``write_ahead()`` before each final dot.

    :param session: a connected ``smtplib.SMTP``
    :param write_ahead: returns False when the hand-over was journalled before
    :return: whether that is possible: other senders have no such point
    """
    if not isinstance(session, _SMTP) or not session.sock:
        return False
    # Without it the dot waits for the acknowledgement of the text: 40 ms a mail.
    session.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data(self, message):
        self.putcmd("data")
        code, reply = self.getreply()
        if code != 354:
            raise smtplib.SMTPDataError(code, reply)
        if isinstance(message, str):
            message = re.sub(r"\r?\n|\r(?!\n)", "\r\n", message).encode("ascii")
        message = _DOT_AT_LINE_START.sub(b"..", message)
        if not message.endswith(b"\r\n"):
            message += b"\r\n"
        self.send(message)
        try:
            fresh = write_ahead()
        except BaseException:
            self.close()  # nothing more may follow this text, not even QUIT
            raise
        if not fresh:
            self.close()
            raise AlreadyJournalled
        return _end_text(self)

    session.data = types.MethodType(data, session)
    return True


def _end_text(session):
    """Send the dot and read the answer; one that says nothing clear is a lost one.

    :return: (code, text): 250 when the message was taken, else 4xx or 5xx
    :raise SMTPServerDisconnected: nobody knows whether it was taken
    """
    try:
        session.send(b".\r\n")
        code, reply = session.getreply()
    except Exception as error:  # lines without an end, TLS that breaks…
        session.close()
        raise smtplib.SMTPServerDisconnected(str(error)) from error
    if 200 <= code < 300:  # smtplib knows no other yes than 250
        return 250, reply
    if not 400 <= code < 600:
        session.close()
        raise smtplib.SMTPServerDisconnected(f"Unclear answer: {code} {reply}")
    return code, reply


def collect_refusals(session, refusals):
    """Keep the addresses that the server refuses while it takes the others.

    Odoo drops that part of smtplib's answer.

    :param refusals: a dict to be filled: {address: (code, answer)}
    """
    if not isinstance(session, _SMTP):
        return
    send_message = _SMTP.send_message

    def collecting(self, *args, **kwargs):
        refused = send_message(self, *args, **kwargs)
        refusals.update(refused or {})
        return refused

    session.send_message = types.MethodType(collecting, session)
