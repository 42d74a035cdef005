"""A certificate authority for tests, by the openssl command."""
import subprocess

CA_CONFIG = """\
[ca]
default_ca = it
[it]
dir = {folder}
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


class Authority:
    """In a folder that it makes: `pem` is what clients believe."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "index.txt").write_text("")
        (folder / "ca.cnf").write_text(CA_CONFIG.format(folder=folder))
        self.pem = folder / "ca.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", folder / "ca.key", "-out", self.pem, "-subj", "/CN=it", "-days", "2",
                      "-addext", "basicConstraints=critical,CA:TRUE")

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def issue(self, name, names, begin="20200101000000Z", end="20400101000000Z"):
        """NAME.pem and NAME.key: each is there whole or not at all, one after the other."""
        request = self.folder / "request.pem"
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                      self.folder / "new.key", "-out", request, "-subj", f"/CN={names[0][4:]}",
                      "-addext", "subjectAltName=" + ",".join(names))
        self._openssl("ca", "-batch", "-config", self.folder / "ca.cnf", "-cert", self.pem, "-keyfile",
                      self.folder / "ca.key", "-in", request, "-out", self.folder / "new.pem", "-notext",
                      "-startdate", begin, "-enddate", end)
        for kind in ("key", "pem"):
            (self.folder / f"new.{kind}").rename(self.folder / f"{name}.{kind}")
