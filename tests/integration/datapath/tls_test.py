"""TLS and the unix socket: unmodified boto3 with verify=CA, names, ends, and exchange under load."""
import http.client
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading

import boto3
import botocore.exceptions
from botocore.config import Config

import rig
from authority import Authority
from rig import MIB, Rig, main, pattern, wait_until


class Tls(Rig):
    @classmethod
    def setUpClass(cls):
        cls.certificates = pathlib.Path(tempfile.mkdtemp(prefix="sluice-tls-"))
        cls.ca = Authority(cls.certificates / "ca")
        cls.ca.issue("first", ["DNS:localhost"])
        cls.ca.issue("second", ["DNS:data.lab"])
        cls.listeners = ", " + cls.listener("first", "second")
        super().setUpClass()
        log = (cls.folder / "agent.log").read_text()
        cls.tls_port = int(re.search(r"listening address=127\.0\.0\.1:(\d+) tls=true", log).group(1))

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.certificates, ignore_errors=True)

    @classmethod
    def listener(cls, *names):
        pairs = ", ".join(f'{{certificateFile: "{cls.ca.folder}/{name}.pem", '
                          f'keyFile: "{cls.ca.folder}/{name}.key"}}' for name in names)
        return f'{{address: "127.0.0.1:0", tls: {{certificates: [{pairs}]}}}}'

    def s3(self, host="localhost", verify=None):
        return boto3.client(
            "s3", endpoint_url=f"https://{host}:{self.tls_port}", aws_access_key_id="FALCON",
            aws_secret_access_key="falconsecret", region_name="us-east-1",
            verify=str(verify or self.ca.pem),
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"},
                          retries={"max_attempts": 0}, connect_timeout=30, read_timeout=60))

    def shown(self, name):
        """The certificate shown to who asks for `name`, not verified."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.tls_port), 30) as raw, \
                context.wrap_socket(raw, server_hostname=name) as tls:
            return ssl.DER_cert_to_PEM_cert(tls.getpeercert(True))

    def exchange(self, name, names, **dates):
        """New files, and the agent has been told; ends when they are shown."""
        self.ca.issue(name, names, **dates)
        wanted = (self.ca.folder / f"{name}.pem").read_text().strip()
        self.agent.send_signal(signal.SIGHUP)
        wait_until("the new certificate is shown",
                   lambda: self.shown(names[0][4:]).strip() == wanted)

    def test_reads_and_writes_of_every_size(self):
        s3 = self.s3()
        for size in (0, 1, 16 << 10, 70_000, 9 * MIB + 3):
            body = pattern(size, size)
            s3.put_object(Bucket="falcons", Key=f"tls/{size}", Body=body)
            for _ in range(2):
                self.assertTrue(self.read(f"tls/{size}", s3)[0] == body, size)
        self.assertEqual(self.read(f"tls/{9 * MIB + 3}", s3, Range="bytes=1000000-1000009")[0],
                         pattern(9 * MIB + 3, 9 * MIB + 3)[1000000:1000010])
        listed = s3.list_objects_v2(Bucket="falcons", Prefix="tls/")
        self.assertEqual(listed["KeyCount"], 5)

    def test_whom_clients_do_not_believe(self):
        stranger = Authority(self.certificates / "stranger")
        for client in (self.s3(verify=stranger.pem), self.s3(host="127.0.0.1")):
            with self.assertRaises(botocore.exceptions.SSLError):
                client.list_objects_v2(Bucket="falcons")

    def test_the_name_asked_for_chooses(self):
        first, second = ((self.ca.folder / f"{name}.pem").read_text().strip()
                         for name in ("first", "second"))
        self.assertEqual(self.shown("data.lab").strip(), second)
        self.assertEqual(self.shown("localhost").strip(), first)
        self.assertEqual(self.shown("nobody.lab").strip(), first)

    def test_an_ended_certificate_is_told_and_mended_without_a_restart(self):
        self.exchange("first", ["DNS:localhost"], end="20200102000000Z")
        with self.assertRaises(botocore.exceptions.SSLError):
            self.s3().list_objects_v2(Bucket="falcons")
        self.assertIn("has ended", self.page("/healthz")[1])
        checked = subprocess.run([rig.AGENT, "check", "--config", self.config], capture_output=True,
                                 text=True, check=False)
        self.assertEqual(checked.returncode, 1)
        self.assertRegex(checked.stdout, r"ERROR +certificate .*first\.pem: it has ended.*\n +cure: renew")
        self.exchange("first", ["DNS:localhost"])
        self.s3().list_objects_v2(Bucket="falcons")
        self.assertNotIn("has ended", self.page("/healthz")[1])

    def test_a_broken_pair_changes_nothing_and_is_told(self):
        before = self.shown("data.lab")
        good = self.ca.folder / "second.pem"
        text = good.read_text()

        def put(content):
            (self.ca.folder / "next").write_text(content)
            (self.ca.folder / "next").rename(good)
            self.agent.send_signal(signal.SIGHUP)

        put((self.ca.folder / "first.pem").read_text())  # another key's
        wait_until("the look has failed",
                   lambda: self.metric("sluice_agent_tls_listeners_unreadable") == 1)
        self.assertEqual(self.shown("data.lab"), before)
        self.assertRegex(self.page("/healthz")[1], r"second\.key: the key does not belong")
        status = subprocess.run([rig.AGENT, "status", "--config", self.config], capture_output=True,
                                text=True, check=False)
        self.assertRegex(status.stdout, "certificates +files that cannot be used")
        put(text)
        wait_until("it is mended",
                   lambda: self.metric("sluice_agent_tls_listeners_unreadable") == 0)
        self.assertEqual(self.shown("data.lab"), before)
        log = (self.folder / "agent.log").read_text()
        for name in ("first", "second"):
            for line in (self.ca.folder / f"{name}.key").read_text().splitlines()[1:-1]:
                self.assertNotIn(line[:24], log)

    def test_ten_exchanges_under_load_and_no_request_fails(self):
        body = pattern(300_000, 5)
        self.put_at_origin("falcons/load", body)
        stop = threading.Event()
        failures, done = [], [0]

        def new_connections():
            while not stop.is_set():
                try:
                    if self.read("load", self.s3())[0] != body:
                        failures.append("wrong bytes")
                    done[0] += 1
                except Exception as error:
                    failures.append(repr(error))

        kept = self.s3()
        threads = [threading.Thread(target=new_connections) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                before = done[0]
                self.exchange("first", ["DNS:localhost"])
                self.assertTrue(self.read("load", kept)[0] == body)
                wait_until("others were served meanwhile", lambda: done[0] > before or failures)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])

    def test_the_unix_socket_serves_the_same(self):
        self.put_at_origin("falcons/unix", b"by path")
        url = self.falcon.generate_presigned_url(
            "get_object", Params={"Bucket": "falcons", "Key": "unix"}, ExpiresIn=600)
        host, _, target = url.removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.folder / "s3.sock"))
        connection.request("GET", "/" + target)
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.read()), (200, b"by path"))
        connection.close()


if __name__ == "__main__":
    main()
