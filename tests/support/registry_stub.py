#!/usr/bin/env python3
"""A schema registry that misbehaves on demand: Confluent's REST interface in memory, on a free port of 127.0.0.1.

Prints its port on one line and ends when its standard input does. With --tls DIR it speaks TLS, with a CA of its own
that is made in DIR: ca.pem, and client.pem and client.key signed by it. The first segment of the path is the fault, so a
client under test chooses it with the base path; each fault counts its own requests:

  /ok                /delay-MS            answers late
  /status-CODE-N     CODE to the first N requests (of each path), then right answers
  /html-CODE         CODE with a page that is no registry's
  /json              JSON that is not what was asked for      /truncated    half of a body, then the line is cut
  /huge              a body of 2 MB                           /redirect     to /ok
  /learns-N          404 with its error code to the first N questions for a schema, then right answers
  /basic-USER-PASSWORD, /bearer-TOKEN       401 to anybody else
  /certificate                              401 to clients without a certificate (with --tls)
  /log               the requests so far, as a JSON list of "METHOD path"

Schemas: 1 and 2 are records, 3 refers to 2 through subject "user", 4 is Protobuf, 5 refers to itself, 99 and GUIDs but
one are unknown. What is registered gets ids from 100 on; subject "strict" refuses with 409, "invalid" with 422.
"""
import base64
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USER = {"type": "record", "name": "User", "namespace": "shared", "fields": [{"name": "id", "type": "string"}]}
EVENT = {"type": "record", "name": "Event", "fields": [{"name": "name", "type": "string"}]}
BY_ID = {
    1: {"schema": json.dumps(EVENT), "schemaType": "AVRO", "references": [], "unknown member": {}},
    2: {"schema": json.dumps(USER)},
    3: {"schema": json.dumps({"type": "record", "name": "Signup", "fields": [{"name": "user", "type": "shared.User"}]}),
        "references": [{"name": "shared.User", "subject": "user", "version": 1}]},
    4: {"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"},
    5: {"schema": "[]", "references": [{"name": "x", "subject": "self", "version": 1}]},
}
BY_VERSION = {("user", 1): BY_ID[2], ("self", 1): BY_ID[5]}
BY_GUID = {"01234567-89ab-cdef-fedc-ba9876543210": BY_ID[1]}


class State:
    lock, seen, log, registered = threading.Lock(), {}, [], {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def error(self, status, code, message):
        self.reply(status, {"error_code": code, "message": message})

    def count(self, key):
        with State.lock:
            State.seen[key] = State.seen.get(key, 0) + 1
            return State.seen[key]

    def fails(self, fault, values, path):
        """Acts out the fault; true if that was the answer."""
        if fault == "delay":
            time.sleep(int(values[0]) / 1000)
        elif fault == "status" and self.count(self.path) <= int(values[1]):
            self.error(int(values[0]), int(values[0]) * 100, "on purpose")
            return True
        elif fault == "html":
            self.reply(int(values[0]), b"<html>nginx</html>")
            return True
        elif fault == "json":
            self.reply(200, ["surprise"])
            return True
        elif fault == "truncated":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"schema": "\\"st')
            self.close_connection = True
            return True
        elif fault == "huge":
            self.reply(200, {"schema": "x" * (2 << 20)})
            return True
        elif fault == "redirect":
            self.reply(302, b"", [("Location", "/ok" + path)])
            return True
        elif fault == "learns" and self.count(self.path) <= int(values[0]):
            self.error(404, 40403, "Schema not found")
            return True
        elif fault in ("basic", "bearer"):
            wanted = "Bearer " + values[0] if fault == "bearer" else \
                "Basic " + base64.b64encode(":".join(values).encode()).decode()
            if self.headers.get("Authorization") != wanted:
                self.error(401, 401, "Unauthorized")
                return True
        elif fault == "certificate" and not self.connection.getpeercert():
            self.error(401, 401, "Unauthorized")
            return True
        return False

    def handle_request(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        _, first, *rest = self.path.split("/")
        if first == "log":
            self.reply(200, State.log)
            return
        with State.lock:
            State.log.append(f"{self.command} {self.path}")
        path = "/" + "/".join(rest)
        fault, *values = first.split("-")
        if not self.fails(fault, values, path):
            self.answer(path.split("?")[0].split("/")[1:], body)

    do_GET = do_POST = handle_request

    def answer(self, parts, body):
        if self.command == "GET":
            kind, *rest = parts
            found = None
            if kind == "schemas" and rest[0] == "ids":
                found = BY_ID.get(int(rest[1])) or State.registered.get(int(rest[1]))
            elif kind == "schemas":
                found = BY_GUID.get(rest[1])
            elif kind == "subjects":
                found = BY_VERSION.get((rest[0], int(rest[2])))
            self.reply(200, found) if found else self.error(404, 40403, "Schema not found")
            return
        subject = parts[2] if parts[0] == "compatibility" else parts[1]
        schema = json.loads(body)["schema"]
        if parts[0] == "compatibility":
            if subject == "new":
                self.error(404, 40401, "Subject not found")
            else:
                self.reply(200, {"is_compatible": subject != "strict", "messages": ["field lacks a default"]})
        elif subject == "strict":
            self.error(409, 409, "Schema being registered is incompatible")
        elif subject == "invalid":
            self.error(422, 42201, "Invalid Avro schema")
        else:
            self.register(subject, schema, is_new=len(parts) == 3)

    def register(self, subject, schema, is_new):
        with State.lock:
            known = [i for i, found in State.registered.items() if (found["subject"], found["schema"]) == (subject, schema)]
            if not known and is_new:
                known = [100 + len(State.registered)]
                State.registered[known[0]] = {"subject": subject, "schema": schema}
        self.reply(200, {"id": known[0]}) if known else self.error(404, 40403, "Schema not found")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):  # a client may hang up; anything else is a bug here
            super().handle_error(request, client_address)


def make_certificates(folder):
    """A CA, and by it a server on 127.0.0.1 and a client."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, stderr=subprocess.DEVNULL)

    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl(*new, "-x509", "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem")
    for name, extra in (("server", ["-addext", "subjectAltName=IP:127.0.0.1"]), ("client", [])):
        openssl(*new, "-subj", f"/CN={name}", *extra, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-copy_extensions", "copy", "-days", "2", "-out", f"{name}.pem")


def speak_tls(server, folder):
    make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, "server.pem"), os.path.join(folder, "server.key"))
    context.load_verify_locations(os.path.join(folder, "ca.pem"))
    context.verify_mode = ssl.CERT_OPTIONAL
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)


def main():
    server = Server(("127.0.0.1", 0), Handler)
    if sys.argv[1:2] == ["--tls"]:
        speak_tls(server, sys.argv[2])
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
