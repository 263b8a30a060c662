"""A mail server that takes everything, keeps nothing, and answers after a while."""

import asyncio
import contextlib
import multiprocessing
import socket


class Connection:
    def __init__(self, reader, writer, delay):
        self.reader, self.writer, self.delay = reader, writer, delay

    async def answer(self, text):
        if self.delay:
            await asyncio.sleep(self.delay)
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    async def talk(self):
        await self.answer("220 sink")
        while line := await self.reader.readline():
            command = line[:4].upper()
            if command == b"DATA":
                await self.answer("354 go on")
                while await self.reader.readline() not in (b".\r\n", b""):
                    pass
            await self.answer("221 bye" if command == b"QUIT" else "250 ok")
            if command == b"QUIT":
                break
        self.writer.close()


def serve(listening, delay):
    async def on_connection(reader, writer):
        with contextlib.suppress(OSError):
            await Connection(reader, writer, delay).talk()

    async def main():
        server = await asyncio.start_server(on_connection, sock=listening)
        await server.serve_forever()

    asyncio.run(main())


@contextlib.contextmanager
def sink(delay=0.0):
    """Run it in a process of its own; give its port.

    :param delay: seconds before each answer
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = multiprocessing.get_context("fork").Process(
            target=serve, args=(listening, delay), daemon=True
        )
        process.start()
        try:
            yield listening.getsockname()[1]
        finally:
            process.terminate()
            process.join()
