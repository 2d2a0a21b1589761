"""A broker that wants to know who asks: TLS with certificates made here, SASL with SCRAM and PLAIN, client certificates.

    port        PLAINTEXT, for the test itself
    sasl        SASL_SSL: SCRAM-SHA-256, SCRAM-SHA-512, PLAIN; a certificate for 127.0.0.1
    mutual      SSL: the client shows a certificate, too
    expired     SASL_SSL with a certificate that was valid in 2020
    elsewhere   SASL_SSL with one for another name
"""
import os
import subprocess
import tempfile

import services
from confluent_kafka.admin import (AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialDeletion,
                                   UserScramCredentialUpsertion)

SETTINGS = """\
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},{secured}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},{secured}
controller.quorum.voters=1@127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,EXPIRED:SASL_SSL,ELSEWHERE:SASL_SSL,MUTUAL:SSL
connections.max.reauth.ms=0
ssl.keystore.type=PEM
ssl.truststore.type=PEM
listener.name.mutual.ssl.keystore.type=PEM
listener.name.mutual.ssl.keystore.location={folder}/server.pem
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location={folder}/ca.crt
listener.name.mutual.ssl.client.auth=required
"""

LISTENER = """\
listener.name.{name}.ssl.keystore.type=PEM
listener.name.{name}.ssl.keystore.location={folder}/{certificate}.pem
listener.name.{name}.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
listener.name.{name}.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.{name}.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.{name}.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{user}="{password}";
"""

LISTENERS = {"sasl": "server", "expired": "expired", "elsewhere": "elsewhere"}
USER, PASSWORD = "scout", "correct-horse-battery"


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE, timeout=30)


def make_authority(folder, name):
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")


def make_certificate(folder, name, alternative, authority="ca", until=None):
    """name.key, name.crt, and both in name.pem; until: YYMMDDHHMMSSZ, else some days from now."""
    with open(os.path.join(folder, f"{authority}.cnf"), "w", encoding="utf-8") as out:
        out.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={authority}.txt\nnew_certs_dir=.\nserial={authority}.srl\n"
                  "default_md=sha256\npolicy=p\nunique_subject=no\ncopy_extensions=copy\n[p]\ncommonName=supplied\n")
    open(os.path.join(folder, f"{authority}.txt"), "a", encoding="utf-8").close()
    openssl(folder, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-addext", f"subjectAltName={alternative}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    period = ["-startdate", "200101000000Z", "-enddate", until] if until else ["-days", "2"]
    openssl(folder, "ca", "-batch", "-notext", "-create_serial", "-config", f"{authority}.cnf", "-cert", f"{authority}.crt",
            "-keyfile", f"{authority}.key", *period, "-in", f"{name}.csr", "-out", f"{name}.crt")
    with open(os.path.join(folder, f"{name}.pem"), "w", encoding="utf-8") as out:
        for part in (f"{name}.key", f"{name}.crt"):
            with open(os.path.join(folder, part), encoding="utf-8") as text:
                out.write(text.read())


class SecuredBroker(services.Broker):
    def __init__(self):
        super().__init__()
        self.ports = {name: services.free_port() for name in (*LISTENERS, "mutual")}
        self.folder = tempfile.mkdtemp(prefix="certificates-", dir=self.directory)
        for authority in ("ca", "other"):
            make_authority(self.folder, authority)
        make_certificate(self.folder, "server", "IP:127.0.0.1,DNS:localhost")
        make_certificate(self.folder, "expired", "IP:127.0.0.1", until="200201000000Z")
        make_certificate(self.folder, "elsewhere", "DNS:kafka.example")
        make_certificate(self.folder, "client", "DNS:client")
        make_certificate(self.folder, "stranger", "DNS:stranger", authority="other")
        secured = ",".join(f"{name.upper()}://127.0.0.1:{port}" for name, port in self.ports.items())
        self.settings = SETTINGS.format(port=self.port, controller=services.free_port(), secured=secured, folder=self.folder)
        for name, certificate in LISTENERS.items():
            self.settings += LISTENER.format(name=name, folder=self.folder, certificate=certificate, user=USER,
                                             password=PASSWORD)

    def file(self, name):
        return os.path.join(self.folder, name)

    def set_password(self, password):
        """Of the user for both kinds of SCRAM; None: there is no such user any more."""
        admin = AdminClient({"bootstrap.servers": self.address})
        for kind in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):  # a user once in a request
            if password is None:
                change = UserScramCredentialDeletion(USER, kind)
            else:
                change = UserScramCredentialUpsertion(USER, ScramCredentialInfo(kind, 4096), password.encode())
            admin.alter_user_scram_credentials([change])[USER].result(30)
