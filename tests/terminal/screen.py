"""Runs a command on a terminal in memory, as a person would see and use it.

Standard input is JSON: `command` (arguments), `environment`, `folder`, `columns`, `rows`, and `steps`, each one of
`{"wait": text}` until the screen shows it, `{"send": keys}`, `{"screen": true}` to keep what is shown. Standard output is
JSON: the `screens` that were kept and the last one, `exit_code`, and whether the `cursor` is visible at the end.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import pyte

PATIENCE_SECONDS = 30


def shown(screen):
    lines = [line.rstrip() for line in screen.display]
    return "\n".join(lines).rstrip() + "\n"


def main():
    task = json.load(sys.stdin)
    columns, rows = task["columns"], task["rows"]
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which whoever runs the tests may ignore
        os.chdir(task["folder"])
        os.execve(task["command"][0], task["command"], task["environment"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)

    def answer(text):
        os.write(terminal, text.encode())

    # A program may ask where the cursor is.
    screen.write_process_input = answer

    def read(seconds):
        """Takes what the command writes. False where it has ended."""
        ready, _, _ = select.select([terminal], [], [], seconds)
        if not ready:
            return True
        try:
            written = os.read(terminal, 65536)
        except OSError:
            return False
        stream.feed(written)
        return bool(written)

    screens = []
    for step in task["steps"]:
        if "wait" in step:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while step["wait"] not in shown(screen):
                if time.monotonic() > deadline or not read(0.05):
                    sys.exit(f"{step['wait']!r} never came:\n{shown(screen)}")
            # What is still being drawn.
            while select.select([terminal], [], [], 0.1)[0] and read(0):
                pass
        elif "send" in step:
            os.write(terminal, step["send"].encode())
        else:
            screens.append(shown(screen))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while read(0.05):
        if time.monotonic() > deadline:
            os.kill(child, 9)
            sys.exit(f"the command does not end:\n{shown(screen)}")
    _, status = os.waitpid(child, 0)
    screens.append(shown(screen))
    result = {
        "screens": screens,
        "exit_code": os.waitstatus_to_exitcode(status),
        "cursor": not screen.cursor.hidden,
    }
    json.dump(result, sys.stdout)


main()
