"""A Trino server on this machine: tables and views in a metastore of files, in the place of Glue."""

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import trino

#: The catalogue's name in Athena, which the texts of the installed views say.
CATALOG = "awsdatacatalog"
SECONDS_TO_START = 600
#: Two cores compute; the others wait for an answer.
CLIENTS = 4
JVM = """-Xmx{heap}
-XX:+UseG1GC
-XX:TieredStopAtLevel=1
-XX:+ExitOnOutOfMemoryError
-Djdk.attach.allowAttachSelf=true
-Dfile.encoding=UTF-8
--enable-native-access=ALL-UNNAMED
--sun-misc-unsafe-memory-access=allow
"""
FILES = {"fs.native-local.enabled": "true", "local.location": "/"}


@dataclass
class Answer:
    """Rows in any order, with the names and types of their columns."""

    columns: dict[str, str]
    rows: list[tuple]


class Server:
    """One node, for as long as the test takes."""

    def __init__(self, home: Path, java: Path, folder: Path, heap: str):
        self.folder, self.metastore = folder, folder / "metastore"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.configure(heap)
        with (folder / "server.log").open("w") as log:
            # It ends with this process, also where that is killed.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", home / "bin/launcher", "run", "--etc-dir", folder / "etc", "--jvm-dir", java],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            self.wait()
            self.add_catalog(CATALOG, "hive", {
                "hive.metastore": "file", "hive.metastore.catalog.dir": f"local://{self.metastore}",
                "hive.metastore.version-compatibility": "UNSAFE_ASSUME_COMPATIBILITY",
                "hive.partition-projection-enabled": "true", "hive.security": "allow-all", **FILES,
            })  # fmt: skip
        except BaseException:
            self.stop()
            raise

    def configure(self, heap: str) -> None:
        etc = self.folder / "etc"
        etc.mkdir()
        self.metastore.mkdir()
        (etc / "jvm.config").write_text(JVM.format(heap=heap))
        (etc / "node.properties").write_text(f"node.environment=test\nnode.data-dir={self.folder}/data\n")
        (etc / "config.properties").write_text(
            "coordinator=true\nnode-scheduler.include-coordinator=true\ncatalog.management=dynamic\ncatalog.store=memory\n"
            f"http-server.http.port={self.port}\ndiscovery.uri=http://127.0.0.1:{self.port}\n"
        )

    def wait(self) -> None:
        """Until it has found its own node and answers."""
        end = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                self.ask("SELECT 1")
                return
            except (trino.exceptions.Error, OSError) as error:
                log = (self.folder / "server.log").read_text()
                if self.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(f"Trino does not start: {error}\n{log[-5000:]}") from error
            time.sleep(0.5)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def add_catalog(self, name: str, connector: str, properties: dict[str, str]) -> None:
        given = ", ".join(f""""{key}" = '{value}'""" for key, value in properties.items())
        self.ask(f"CREATE CATALOG {name} USING {connector} WITH ({given})")

    def ask(self, sql: str, schema: str | None = None, catalog: str = CATALOG) -> Answer:
        connection = trino.dbapi.connect(
            host="127.0.0.1", port=self.port, user="test", catalog=catalog, schema=schema, timezone="UTC"
        )
        cursor = connection.cursor()
        cursor.execute(sql)
        rows = [tuple(row) for row in cursor.fetchall()]
        return Answer({name: kind.replace(", ", ",") for name, kind, *_ in cursor.description or []}, rows)
