"""Machines for `make torture`: network namespaces that share one hub, or plain ports.

Each machine has a network of its own and reaches nothing but the hub: the database,
the mail server, and in front of the machines a load balancer, all of them by TCP. A
cable can be pulled. Without root, or without `ip` (iproute2), the "machines" are ports
of this one.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess

#: Addresses for tests of networks (RFC 2544): nobody else's.
HUB = "198.18.0.1"
#: Where each machine listens.
PORT = 8069


def ip(*args):
    subprocess.run(["ip", *map(str, args)], check=True, capture_output=True)


class Machine:
    """One of them: where its servers are started, and how they are reached."""

    def __init__(self, number, own_network):
        self.name = f"torture{os.getpid()}-{number}"
        self.number, self.own_network = number, own_network
        self.cable = f"t{os.getpid()}-{number}"
        if own_network:
            # Networks of four addresses: the hub's end, and the machine's.
            self.host, self.port = f"198.18.0.{4 * number + 2}", PORT
            self.prefix = ["ip", "netns", "exec", self.name]
        else:
            self.host, self.port = "127.0.0.1", get_free_port()
            self.prefix = []

    def set_up(self):
        if not self.own_network:
            return
        end = f"198.18.0.{4 * self.number + 1}"
        ip("netns", "add", self.name)
        ip(
            "link",
            "add",
            self.cable,
            "type",
            "veth",
            "peer",
            "eth0",
            "netns",
            self.name,
        )
        ip("addr", "add", f"{end}/30", "dev", self.cable)
        ip("link", "set", self.cable, "up")
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "addr", "add", f"{self.host}/30", "dev", "eth0")
        self.plug(True)

    def plug(self, connected):
        """Put the cable in, or pull it."""
        if self.own_network:
            ip("-n", self.name, "link", "set", "eth0", "up" if connected else "down")
            if connected:
                end = f"198.18.0.{4 * self.number + 1}"
                ip("-n", self.name, "route", "replace", "default", "via", end)

    def tear_down(self):
        if self.own_network:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", self.name)


def get_free_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


class Network:
    """Two machines and the hub; `with` makes and removes them."""

    def __init__(self, count, database_socket, smtp_port):
        self.own = os.getuid() == 0 and bool(shutil.which("ip"))
        if self.own:
            try:
                ip("netns", "add", f"torture{os.getpid()}")
                ip("netns", "del", f"torture{os.getpid()}")
            except subprocess.CalledProcessError:
                self.own = False
        self.hub = HUB if self.own else "127.0.0.1"
        self.machines = [Machine(number, self.own) for number in range(count)]
        self.database_socket, self.smtp = database_socket, smtp_port
        #: How often the balancer chose each of them.
        self.chosen = multiprocessing.Array("i", count, lock=False)
        self.process_id = None

    def __enter__(self):
        for machine in self.machines:
            machine.tear_down()
            machine.set_up()
        listening = [self._listen() for _way in range(3)]
        ports = [listener.getsockname()[1] for listener in listening]
        self.database_port, self.smtp_port, self.balancer_port = ports
        self.process_id = os.fork()
        if not self.process_id:
            try:
                asyncio.run(self._forward(*listening))
            finally:
                os._exit(0)
        for listener in listening:
            listener.close()
        return self

    def __exit__(self, *exc_info):
        os.kill(self.process_id, signal.SIGKILL)
        os.waitpid(self.process_id, 0)
        for machine in self.machines:
            machine.tear_down()

    def _listen(self):
        listener = socket.socket()
        listener.bind((self.hub, 0))
        listener.listen(100)
        return listener

    async def _forward(self, database, smtp, balancer):
        """What the hub does: bytes in, bytes out."""
        turn = itertools.cycle(self.machines)

        async def to_database():
            return await asyncio.open_unix_connection(self.database_socket)

        async def to_smtp():
            return await asyncio.open_connection("127.0.0.1", self.smtp)

        async def to_machine():
            """To each in its turn, but for one that does not answer."""
            for _machine in self.machines:
                machine = next(turn)
                with contextlib.suppress(OSError, asyncio.TimeoutError):
                    connection = await asyncio.wait_for(
                        asyncio.open_connection(machine.host, machine.port), 0.5
                    )
                    self.chosen[machine.number] += 1
                    return connection
            raise OSError("No machine answers")

        servers = [
            await asyncio.start_server(forward_to(connect), sock=listener)
            for listener, connect in (
                (database, to_database),
                (smtp, to_smtp),
                (balancer, to_machine),
            )
        ]
        await asyncio.gather(*(server.serve_forever() for server in servers))


def forward_to(connect):
    """Return what answers a connection: another one, both ways."""

    async def copy(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()

    async def answer(reader, writer):
        try:
            upstream_reader, upstream_writer = await connect()
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            copy(reader, upstream_writer), copy(upstream_reader, writer)
        )

    return answer
