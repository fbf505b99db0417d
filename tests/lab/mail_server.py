"""aiosmtpd as a mail server of the outside world: nothing without STARTTLS and a login.

    python3 mail_server.py RECORD PORT CERTIFICATE KEY

A message becomes a line of RECORD before the 250. Says when it is ready; ends when its standard input does.
"""

import base64
import json
import os
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

LOGIN = (b"tixing", b"geheim")


class Keeper:
    def __init__(self, path):
        self.record = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def handle_DATA(self, server, session, envelope):
        entry = {
            "at": time.time(),
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "login": session.authenticated,
            "content": base64.b64encode(envelope.content).decode(),
        }
        line = (json.dumps(entry) + "\n").encode()
        if os.write(self.record, line) != len(line):
            return "451 the record could not be written whole"
        return "250 kept"


def login(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == LOGIN, handled=True)


def main():
    path, port, certificate, key = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    controller = Controller(
        Keeper(path),
        hostname="127.0.0.1",
        port=int(port),
        tls_context=tls,
        require_starttls=True,
        auth_required=True,
        authenticator=login,
    )
    controller.start()
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
