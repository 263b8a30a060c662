"""Mail servers that die, hang up, crawl and encrypt: nothing is lost or sent twice.

    python -m dev.torture_smtp ODOO.CONF DATABASE [--seed N]

- killed: the mail server is killed with SIGKILL while it takes mails, and comes back;
- cut: the line to it is cut anywhere: before the greeting, in a command, in the middle
  of the text, between the dot and its answer, after it;
- snail: one server takes a second for each answer, another one works, and the slow
  one's come first. A worker who is killed while he waits has sent nothing twice;
- tarpit: so slow that Odoo kills each worker before a mail has left. The others leave;
- tls: STARTTLS with a certificate that nobody has signed, and passwords.

What a server answers is in the addon's tests (test_deliver.py): that is quick.
"""

import contextlib
import random
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from unittest.mock import patch

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from odoo.modules.registry import Registry

from dev.inbox import HOST, Handler
from dev.torture_crash import Server
from dev.torture_lib import (
    CRONS,
    count_queued,
    end,
    environment,
    finish,
    fork,
    get_failed_jobs,
    hurry,
    inbox,
    is_over,
    is_written,
    judge,
    kill,
    parse_arguments,
    play,
    run_cron,
    set_up,
    set_up_mail_server,
    set_up_sequence,
    start_inbox,
)

#: Seconds. Nothing should take as long.
TIMEOUT = 600


# --- a line that fails ----------------------------------------------------------------


class Line(socketserver.ThreadingTCPServer):
    """A line to a mail server, which is cut or slow.

    :param budget: returns after how many bytes of a connection, in both directions
        together, it is cut; None for never
    :param delay: seconds that each answer of the server takes
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, target_port, budget=lambda: None, delay=0):
        super().__init__((HOST, 0), _Connection)
        self.target_port, self.budget, self.delay = target_port, budget, delay
        self.cuts = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, request, client_address):
        """A socket that was cut."""


class _Connection(socketserver.BaseRequestHandler):
    def handle(self):
        self.left = self.server.budget()
        with socket.create_connection((HOST, self.server.target_port)) as upstream:
            self.ends = (self.request, upstream)
            for end_ in self.ends:
                end_.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = threading.Thread(
                target=self.pump, args=(upstream, self.request, self.server.delay)
            )
            answers.start()
            self.pump(self.request, upstream, 0)
            answers.join()

    def pump(self, source, target, delay):
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                time.sleep(delay)
                if self.left is not None:
                    data, self.left = data[: self.left], self.left - len(data)
                target.sendall(data)
                if self.left is not None and self.left <= 0:
                    self.server.cuts += 1
                    break
        for end_ in self.ends:
            with contextlib.suppress(OSError):
                end_.shutdown(socket.SHUT_RDWR)


# --- scenes ---------------------------------------------------------------------------


def work(database, seed):
    dice = random.Random(seed)
    while True:
        run_cron(database, dice.choice(CRONS))


@contextlib.contextmanager
def working(args):
    """Two workers, whom nobody kills before the end."""
    workers = [fork(work, args.database, args.seed + number) for number in range(2)]
    try:
        yield
    finally:
        for worker in workers:
            kill(worker)


def queue_all(args):
    """Write all reminders: what follows is about their delivery."""
    Registry(args.database).check_signaling()
    while not is_written(args.database):
        for name in ("reconcile", "run"):
            run_cron(args.database, name)


def wait_until_over(args, happens=lambda: None):
    """All that waits for an outage is tried again at once, until nothing waits."""
    dice = random.Random(args.seed)
    deadline = time.monotonic() + TIMEOUT
    while not is_over(args.database):
        if time.monotonic() > deadline:
            raise SystemExit("Stuck")
        happens()
        hurry(args.database, dice)
        time.sleep(0.1)


def judge_all(args, invoice_ids):
    finish(args.database)
    problems = judge(args, (args.folder / "mails",), invoice_ids)
    for log in (args.log, *args.folder.glob("*.log")):
        problems += get_failed_jobs(log)
    return problems


def killed(args):
    dice, kills = random.Random(args.seed), 0
    process, port = start_inbox(args.folder, slow=40)
    with environment(args.database) as env:
        invoice_ids = set_up(env, port, 100)
    queue_all(args)
    moment = time.monotonic()

    def kill_inbox():
        nonlocal process, moment, kills
        if time.monotonic() > moment:
            process.kill()
            process.wait()
            time.sleep(dice.uniform(0, 0.5))
            process, _port = start_inbox(args.folder, 40, port)
            kills += 1
            moment = time.monotonic() + dice.uniform(0.5, 2)

    with working(args):
        wait_until_over(args, kill_inbox)
    print(f"The mail server was killed {kills} times")
    problems = judge_all(args, invoice_ids)
    process.terminate()
    process.wait()
    return problems + ([] if kills >= 5 else [f"killed {kills} times only"])


def cut(args):
    dice = random.Random(args.seed)

    def budget():
        """From before the greeting to after several mails, of some 4000 bytes each."""
        return dice.choice([0, dice.randint(1, 400), dice.randint(400, 20000)])

    with inbox(args.folder, slow=10) as port:
        line = Line(port, budget)
        with environment(args.database) as env:
            invoice_ids = set_up(env, line.port, 100)
        queue_all(args)
        with working(args):
            wait_until_over(args)
        print(f"The line was cut {line.cuts} times")
        line.budget = lambda: None
        problems = judge_all(args, invoice_ids)
        line.shutdown()
    return problems + ([] if line.cuts >= 50 else [f"cut {line.cuts} times only"])


def tarpit(args):
    """Odoo itself kills each worker that talks to it, for it takes too long."""
    return snail(args, 4, "--limit-time-real-cron=10")


def snail(args, delay=1, *options):
    """A mail takes some seven seconds, and Odoo's workers are killed meanwhile."""
    slow_folder = args.folder / "slow"
    slow_folder.mkdir()
    with inbox(args.folder) as port, inbox(slow_folder) as slow_port:
        line = Line(slow_port, delay=delay)
        with environment(args.database) as env:
            invoice_ids = set_up(env, port, 24)
            slow = set_up_slow_half(env, invoice_ids, line.port)
        server, kills = Server(args, 3, *options), 0
        server.start()
        try:
            kills = wait_until_others_left(args, len(invoice_ids) - len(slow), server)
        finally:
            server.kill()
        print(f"{kills} workers were killed")
        arrived = len(list((args.folder / "mails").glob("*.eml")))
        print(f"Meanwhile {arrived} mails left by the other one")
        line.delay = 0
        finish(args.database)
        for path in (slow_folder / "mails").glob("*.eml"):
            shutil.move(path, args.folder / "mails")
        problems = judge(args, (args.folder / "mails",), invoice_ids)
        line.shutdown()
    if arrived != len(invoice_ids) - len(slow):
        problems.append(f"only {arrived} left by the server that works")
    return problems


def set_up_slow_half(env, invoice_ids, port):
    """Every second customer has a sequence with a mail server of its own.

    :return: the invoices whose reminders come first in the queue, and are slow
    """
    active = env["ir.mail_server"].search([])
    slow_server = set_up_mail_server(env, port)
    active.active = True
    default = env.company.dunning_sequence_id
    sequence = set_up_sequence(env, mail_server_id=slow_server.id)
    env.company.dunning_sequence_id = default
    slow = env["account.move"].browse(invoice_ids[::2])
    slow.partner_id.dunning_sequence_id = sequence
    default.mail_server_id = active
    env.cr.commit()
    return slow


def wait_until_others_left(args, count, server):
    """Kill a worker now and then, until so many have left by the server that works.

    :return: how often one was killed
    """
    dice, kills = random.Random(args.seed), 0
    started = time.monotonic()
    moment = started + 20
    folder = args.folder / "mails"
    while len(list(folder.glob("*.eml"))) < count:
        if time.monotonic() > started + TIMEOUT:
            break  # `judge` tells who waits
        if time.monotonic() > moment:
            kills += server.kill_worker(dice)
            moment = time.monotonic() + dice.uniform(5, 20)
        hurry(args.database, dice)
        time.sleep(0.5)
    return kills


# --- TLS ------------------------------------------------------------------------------


def make_certificate(folder):
    """A certificate that nobody has signed."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-keyout", folder / "key", "-out", folder / "crt"],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "crt", folder / "key")
    return context


def get_free_port():
    """aiosmtpd's controller wants to know it beforehand."""
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        return unused.getsockname()[1]


def check_password(_server, _session, _envelope, _mechanism, data):
    """handled=False: a wrong password is answered with 535."""
    return AuthResult(success=data.password == b"right", handled=False)


def tls(args):
    mails = args.folder / "mails"
    mails.mkdir()
    controller = Controller(
        Handler(mails),
        hostname=HOST,
        port=get_free_port(),
        tls_context=make_certificate(args.folder),
        require_starttls=True,
        auth_required=True,
        authenticator=check_password,
    )
    controller.start()
    with environment(args.database) as env:
        invoice_ids = set_up(env, controller.port, 20)
    for cron in ("reconcile", "run"):
        run_cron(args.database, cron)
    problems = []
    for encryption, password, leaves in (
        ("none", "right", False),  # it insists on encryption
        ("starttls", "wrong", False),
        ("starttls_strict", "right", False),  # nobody has signed the certificate
        ("ssl", "right", False),  # it speaks no TLS before STARTTLS
        ("starttls", "right", True),
    ):
        with environment(args.database) as env:
            env["ir.mail_server"].search([]).write(
                {
                    "smtp_encryption": encryption,
                    "smtp_authentication": "login",
                    "smtp_user": "somebody",
                    "smtp_pass": password,
                }
            )
            env.cr.execute("UPDATE dunning_reminder SET next_try = NULL")
            env.cr.commit()
        early = deliver_and_watch(args, mails)
        here, queued = len(list(mails.glob("*.eml"))), count_queued(args.database)
        expected = (20, 0) if leaves else (0, 20)
        print(f"{encryption}, a {password} password: {here} arrived, {queued} wait")
        if (here, queued) != expected or early:
            problems.append(
                f"{encryption}, {password}: {here} arrived, {queued} wait; "
                f"{early} were taken before the journal"
            )
    problems += judge_all(args, invoice_ids)
    controller.stop()
    return problems


def deliver_and_watch(args, mails):
    """Deliver; return how many mails were there when their journal was written."""
    attempt = Registry(args.database)["dunning.attempt"]
    write_ahead, early, seen = attempt._write_ahead, 0, 0

    def watch(self, *attempt_args):
        nonlocal early, seen
        time.sleep(0.05)  # would the server have the dot, it would have the mail
        early += len(list(mails.glob("*.eml"))) > seen
        seen += 1
        return write_ahead(self, *attempt_args)

    with patch.object(attempt, "_write_ahead", watch):
        run_cron(args.database, "send")
    return early


# --- main -----------------------------------------------------------------------------


def main():
    started = time.monotonic()
    args = parse_arguments("Mail servers that do what they should not.")
    problems = []
    for scene in (tls, cut, killed, snail, tarpit):
        problems += play(args, scene)
    end(problems, started)


if __name__ == "__main__":
    main()
