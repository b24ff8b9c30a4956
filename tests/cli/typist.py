# SPDX-License-Identifier: MPL-2.0
"""typist.py DDCP ARGUMENTS - types at a terminal of its own: `ddcp key export`
is asked for its passphrase twice, and interrupted at the question."""
import os
import pty
import signal
import sys
import termios


def hold(words, say):
    """Leads the session: when its leader ends the terminal is hung up, and what
    was written last may be lost. So it tells how the program ended, and stays."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    pid = os.fork()
    if pid == 0:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.execv(words[0], words)
    os.write(say, b'%d' % os.waitpid(pid, 0)[1])
    while True:
        signal.pause()


def begin(words):
    hear, say = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        hold(words, say)
    os.close(say)
    return pid, terminal, hear


def end(pid, terminal, hear):
    status = int(os.read(hear, 16))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(hear)
    os.close(terminal)
    return status


def read_until(terminal, end):
    text = b''
    while not text.endswith(end):
        text += os.read(terminal, 1)
    return text


def shows(terminal):
    return termios.tcgetattr(terminal)[3] & termios.ECHO != 0


def interrupted(words):
    pid, terminal, hear = begin(words)
    read_until(terminal, b'Passphrase: ')
    assert not shows(terminal)
    os.write(terminal, b'secr\x03')
    read_until(terminal, b'\n')
    assert shows(terminal)
    status = end(pid, terminal, hear)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT


def typed(words):
    pid, terminal, hear = begin(words)
    read_until(terminal, b'Passphrase: ')
    os.write(terminal, b'secret\n')
    text = read_until(terminal, b'The same again: ')
    assert b'secret' not in text
    os.write(terminal, b'secret\n')
    read_until(terminal, b'is you')
    assert end(pid, terminal, hear) == 0


signal.alarm(60)        # one that is never answered fails
for _ in range(10):     # also where the signal comes before it is waited for
    interrupted(sys.argv[1:])
typed(sys.argv[1:])
