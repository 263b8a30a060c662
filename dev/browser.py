"""A headless Chromium for `make pictures`, told by its DevTools protocol what to do."""

import base64
import io
import json
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import websocket
from PIL import Image

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

    def size(self, width, height, scale=SCALE):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )

    def prefer(self, scheme):
        """Be the browser of somebody who likes light, or dark, pages."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

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
                return [a.left, a.top, Math.max(a.right, b.right), b.bottom];
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
