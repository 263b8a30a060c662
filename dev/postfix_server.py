"""A Postfix of our own on loopback, and the servers that it talks to.

It runs from an unpacked package (dev/get_debian) with its own configuration, queue
and ports: nothing of the machine's mail set-up is read or changed. Only root can
start it, and it does not stay.

What domains do (all of them reserved names, nothing leaves the machine):

* ``customer.example.com``: mailboxes, in Maildirs; who has none is unknown
* ``grey.example.com``: the same, but refused for now the first time
* ``gone.example.com``: the next server refuses each recipient for good
* ``full.example.com``: the next server refuses each recipient for now, always
* ``slow.example.com``: …but only until `NextHop.slow` is set to False
* ``company.example.com``: Odoo, by Odoo's own ``odoo-mailgate.py``
"""

import contextlib
import mailbox
import os
import re
import shutil
import smtplib
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

from odoo.tools import file_path

#: Accounts that every Debian has and nobody uses: Postfix wants some of its own.
OWNER, GROUP = "news", "uucp"

#: One that everybody may run.
PYTHON = "/usr/bin/python3"

#: Bytes that Postfix takes.
SIZE_LIMIT = 300_000

#: Recipients that Postfix takes in one transaction.
RECIPIENT_LIMIT = 5

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = {prefix}/usr/sbin
daemon_directory = {prefix}/usr/lib/postfix/sbin
shlib_directory = {prefix}/usr/lib/postfix
meta_directory = {prefix}/etc/postfix
sendmail_path = {prefix}/usr/sbin/sendmail
mailq_path = {prefix}/usr/bin/mailq
newaliases_path = {prefix}/usr/bin/newaliases
mail_owner = {owner}
setgid_group = {group}
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LD_LIBRARY_PATH
export_environment = TZ MAIL_CONFIG LANG LD_LIBRARY_PATH
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_host_lookup = native
disable_dns_lookups = yes
mynetworks = 127.0.0.0/8
myhostname = mx.example.com
mydestination =
alias_maps =
virtual_mailbox_domains = customer.example.com grey.example.com private.example.com
virtual_mailbox_base = {folder}/mailboxes
virtual_mailbox_maps = texthash:{folder}/conf/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
transport_maps = regexp:{folder}/conf/transport
header_checks = regexp:{folder}/conf/header_checks
smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{policy_port},
    permit_mynetworks, reject
message_size_limit = {size_limit}
smtpd_recipient_limit = {recipient_limit}
# Days of waiting, in seconds.
queue_run_delay = 1s
minimal_backoff_time = 2s
maximal_backoff_time = 3s
delay_warning_time = 2s
maximal_queue_lifetime = 30s
bounce_queue_lifetime = 30s
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
error     unix - - n - - error
retry     unix - - n - - error
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
odoo      unix - n n - 1 pipe
  flags=R user=nobody argv={gateway}
"""

MAPS = {
    "transport": r"""
/@company\.example\.com$/ odoo:
/@(gone|full|slow)\.example\.com$/ smtp:[127.0.0.1]:{next_hop_port}
""",
    "header_checks": r"""
/^Subject:.*lottery/ REJECT 5.7.1 We do not take part in lotteries
""",
}


class NextHop(socketserver.ThreadingTCPServer):
    """The mail servers of other companies, which do not take what they are given."""

    allow_reuse_address = daemon_threads = True
    block_on_close = False

    def __init__(self, taken):
        super().__init__(("127.0.0.1", 0), _NextHopSession)
        self.port = self.server_address[1]
        self.slow, self.taken = True, taken
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def get_answer(self, address):
        """The answer to RCPT; None takes it."""
        domain = address.rpartition("@")[2]
        if domain.startswith("gone"):
            return f"550 5.1.1 <{address}>: Recipient address rejected: user unknown"
        if domain.startswith("full") or self.slow:
            return f"452 4.2.2 <{address}>: mailbox is full, try again later"
        return None


class _NextHopSession(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 next.example.com ESMTP")
        recipients = []
        for line in self.rfile:
            command = line[:4].upper()
            if command == b"RCPT":
                address = re.search(rb"<(.*?)>", line).group(1).decode()
                answer = self.server.get_answer(address)
                recipients += [] if answer else [address]
                self.say(answer or "250 2.1.5 ok")
            elif command == b"DATA":
                self.say("354 go on")
                for text in self.rfile:
                    if text == b".\r\n":
                        break
                self.server.taken += recipients
                self.say("250 2.0.0 taken")
            elif command == b"QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("250 ok")

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")


class Greylist(socketserver.ThreadingTCPServer):
    """Postfix's policy protocol: each new recipient of one domain has to come again."""

    allow_reuse_address = daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _GreylistSession)
        self.port = self.server_address[1]
        self.known = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _GreylistSession(socketserver.StreamRequestHandler):
    def handle(self):
        asked = {}
        for line in self.rfile:
            name, _sign, value = line.decode().strip().partition("=")
            if name:
                asked[name] = value
                continue
            recipient = asked.get("recipient", "")
            new = "@grey." in recipient and recipient not in self.server.known
            self.server.known.add(recipient)
            action = "451 4.7.1 Greylisted, please try again" if new else "DUNNO"
            self.wfile.write(f"action={action}\n\n".encode())
            asked = {}


class Postfix:
    """Use as a context: Postfix runs inside.

    :param prefix: where dev/get_debian unpacked it
    :param folder: an empty folder that everybody may enter
    :param port: on which it listens
    :param gateway: arguments of odoo-mailgate.py
    :param addresses: those who have a mailbox here
    """

    def __init__(self, prefix, folder, port, gateway, addresses):
        self.prefix, self.folder, self.port = Path(prefix), Path(folder), port
        self.gateway, self.addresses = gateway, addresses
        self.taken = []  # addresses that the next servers took
        libraries = [self.prefix / "usr/lib/postfix", *self.prefix.glob("*/lib/*-gnu")]
        libraries += self.prefix.glob("lib/*-gnu")
        self.environment = {
            **os.environ,
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        }

    def __enter__(self):
        self.next_hop, self.greylist = NextHop(self.taken), Greylist()
        self._write_configuration()
        self.start()
        return self

    def __exit__(self, *_error):
        self.stop()
        for server in (self.next_hop, self.greylist):
            server.shutdown()
            server.server_close()

    def _write_configuration(self):
        for name in ("conf", "queue", "data", "mailboxes"):
            (self.folder / name).mkdir()
        uid, gid = (int(_id(flag, OWNER)) for flag in ("-u", "-g"))
        shutil.chown(self.folder / "data", OWNER)
        shutil.chown(self.folder / "mailboxes", OWNER)
        values = {
            "prefix": self.prefix,
            "folder": self.folder,
            "port": self.port,
            "policy_port": self.greylist.port,
            "next_hop_port": self.next_hop.port,
            "owner": OWNER,
            "group": GROUP,
            "uid": uid,
            "gid": gid,
            "gateway": self._get_gateway(),
            "size_limit": SIZE_LIMIT,
            "recipient_limit": RECIPIENT_LIMIT,
        }
        texts = {"main.cf": MAIN_CF, "master.cf": MASTER_CF, **MAPS}
        for name, text in texts.items():
            (self.folder / "conf" / name).write_text(text.format(**values))
        lines = (f"{address} {address}/\n" for address in self.addresses)
        (self.folder / "conf" / "mailboxes").write_text("".join(lines))

    def _get_gateway(self):
        """The command; the script's own place may be one that only root can read.

        Each mail is kept before it is handed over.
        """
        (self.folder / "piped").mkdir()
        shutil.chown(self.folder / "piped", "nobody")
        script = file_path("mail/static/scripts/odoo-mailgate.py")
        mailgate = shutil.copy(script, self.folder)
        python = PYTHON if os.access(PYTHON, os.X_OK) else sys._base_executable
        wrapper = self.folder / "gateway"
        wrapper.write_text(
            "#!/bin/sh\numask 022\n"
            f"cat >{self.folder}/piped/$$.eml || exit 75\n"
            f"exec {python} {mailgate} {' '.join(self.gateway)} "
            f"<{self.folder}/piped/$$.eml\n"
        )
        wrapper.chmod(0o755)
        return wrapper

    def get_piped(self):
        """The files of the mails that were handed to Odoo, oldest first."""
        files = (self.folder / "piped").glob("*.eml")
        return sorted(files, key=lambda path: path.stat().st_mtime_ns)

    def _run(self, command):
        subprocess.run(
            [self.prefix / "usr/sbin/postfix", "-c", self.folder / "conf", command],
            env=self.environment,
            check=True,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def start(self):
        self._run("start")
        wait_until(self._answers, "Postfix answers")

    def stop(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("stop")

    def _answers(self):
        try:
            smtplib.SMTP("127.0.0.1", self.port, timeout=5).quit()
        except OSError:
            return False
        return True

    def send(self, sender, recipient, source):
        """Somebody sends a mail."""
        with smtplib.SMTP("127.0.0.1", self.port) as session:
            session.sendmail(sender, [recipient], source)

    def get_mails(self, address):
        """What lies in a mailbox."""
        path = self.folder / "mailboxes" / address
        return list(mailbox.Maildir(path, create=False)) if path.exists() else []

    def is_idle(self):
        """Is nothing under way?"""
        queues = ("maildrop", "incoming", "active", "deferred")
        return not any(
            path.is_file()
            for queue in queues
            for path in (self.folder / "queue" / queue).rglob("*")
        )

    def get_log(self):
        return (self.folder / "log").read_text()


def _id(flag, name):
    return subprocess.check_output(["id", flag, name], text=True)


def wait_until(is_true, what, seconds=60):
    """:raise SystemExit: when it does not become true"""
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            raise SystemExit(f"Waited for {seconds} s in vain: {what}")
        time.sleep(0.1)
