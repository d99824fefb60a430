"""A private Kafka of one node that a test may kill, freeze and start again."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from config.supervision.child import Child, Program
from config.supervision.embedded_servers import free_port
from config.supervision.output import Output
from streaming.kafka.broker import KafkaBroker
from streaming.kafka_settings import KafkaAccess
from tests.support.kafka.downloads import jars, java
from tests.support.polling import until

LOG4J = Path(__file__).with_name("log4j2.xml")
# A node lives for a minute or two: what starts soon is worth more than what runs fast.
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
STARTS_WITHIN = 120.0  # seconds; 3 s on a quiet machine
PATIENCE_MS = 20_000
USER, PASSWORD = "candlekeep", "the-password-of-the-tests"
STORE = "of-the-tests"
# One node keeps everything once, its groups need not wait for members that come late, and after a kill it need not
# wait long until it takes itself for gone.
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},LOGIN://127.0.0.1:{login},TLS://127.0.0.1:{tls},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SSL
inter.broker.listener.name=PLAINTEXT
listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.login.plain.sasl.jaas.config={security}.plain.PlainLoginModule required user_{user}="{password}";
listener.name.login.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;
listener.name.tls.ssl.keystore.location={home}/server.p12
listener.name.tls.ssl.keystore.password={store}
listener.name.tls.ssl.keystore.type=PKCS12
log.dirs={home}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=2
background.threads=2
"""


class PrivateKafka:
    """One node on ports of its own; it keeps ports and data over a restart."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.plain, self.login, self.tls, self._controller = (free_port() for _ in range(4))
        self._java, self._jars = java(), jars()
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Return the address of its open listener."""
        return f"kafka://127.0.0.1:{self.plain}"

    def broker(self) -> KafkaBroker:
        """Return the adapter on it."""
        return KafkaBroker(self.url, KafkaAccess())

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Give the library's administration client, for a test's own questions and orders."""
        # The product's own gives up after 1.5 s, which a node that has just started may take on a busy machine.
        timeouts = {"bootstrap_timeout_ms": PATIENCE_MS, "request_timeout_ms": PATIENCE_MS}
        with closing(KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{self.plain}", **timeouts)) as client:
            yield client

    def prepare(self) -> None:
        """Write its settings, its key and its empty log."""
        ports = {"plain": self.plain, "login": self.login, "tls": self.tls, "controller": self._controller}
        names = {"security": "org.apache.kafka.common.security", "user": USER, "password": PASSWORD, "store": STORE}
        self._settings.write_text(SETTINGS.format(**ports, **names, home=self.home))
        self._make_key()
        node = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        user = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        options = ["format", f"--cluster-id={node}", "-c", str(self._settings), "--add-scram", user]
        self._run([*self._command("kafka.tools.StorageTool"), *options])

    def start(self) -> None:
        """Start the node unless it runs, and return when it answers."""
        if self._child:
            return
        argv = tuple(self._command("kafka.Kafka", "-Xmx256m", f"-Dlog4j2.configurationFile={LOG4J}"))
        program = Program("kafka", (*argv, str(self._settings)), dict(os.environ), cwd=self.home)
        child = Child(program, Output("kafka", self.home / "kafka.log", None))
        child.start()
        self._child = child
        until("Kafka answers", lambda: not child.alive or self._answers(), STARTS_WITHIN)
        assert child.alive, (self.home / "kafka.log").read_text()[-3000:]

    def kill(self) -> None:
        """Kill the node at once (-9)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the node in the ordinary way, if it runs."""
        if self._child:
            self._end(signal.SIGTERM)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the node's execution for the length of the block: connections stand, nothing answers."""
        self._send(signal.SIGSTOP)
        until("the node stands still", self._stands_still, 30)  # the signal is taken a moment after it is sent
        try:
            yield
        finally:
            self._send(signal.SIGCONT)

    def _stands_still(self) -> bool:
        assert self._child and self._child.process
        return psutil.Process(self._child.process.pid).status() == psutil.STATUS_STOPPED

    def _send(self, number: signal.Signals) -> None:
        assert self._child, "the node does not run"
        self._child.send(number, group=False)

    def _end(self, how: signal.Signals) -> None:
        assert self._child and self._child.process
        self._send(signal.SIGCONT)
        self._send(how)
        self._child.process.wait(timeout=60)
        self._child.output.close()
        self._child = None

    def _answers(self) -> bool:
        # The listener opens when the node has read its logs; the socket first, so that no client is made in vain.
        try:
            socket.create_connection(("127.0.0.1", self.plain), timeout=1).close()
            with self.client() as client:
                return bool(client.describe_cluster()["brokers"])
        except (OSError, KafkaError):
            return False

    @property
    def _settings(self) -> Path:
        return self.home / "server.properties"

    @property
    def certificate(self) -> Path:
        """Return the certificate by which its TLS listener is known."""
        return self.home / "server.pem"

    def _make_key(self) -> None:
        keytool, store = str(Path(os.path.realpath(self._java)).with_name("keytool")), str(self.home / "server.p12")
        common = ["-keystore", store, "-storepass", STORE, "-alias", "kafka"]
        made = ["-genkeypair", "-keyalg", "EC", "-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-validity", "30"]
        self._run([keytool, *made, *common])
        self._run([keytool, "-exportcert", "-rfc", "-file", str(self.certificate), *common])

    def _command(self, main: str, *options: str) -> list[str]:
        return [self._java, *QUICK, *options, "-cp", f"{self._jars}/*", main]

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=STARTS_WITHIN, check=False)
        assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


@contextmanager
def private_kafka() -> Iterator[PrivateKafka]:
    """Give a private node in a folder of its own; at the end both are gone, also where the run is killed."""
    home = Path(tempfile.mkdtemp(prefix="ck-kafka-"))
    try:
        server = PrivateKafka(home)
        server.prepare()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
