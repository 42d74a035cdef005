"""The Dockerfile against what is built and tested: it cannot be built here, so it is compared."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
DOCKERFILE = (ROOT / "deploy/images/Dockerfile").read_text()
BUILD = (ROOT / "deploy/images/build").read_text()
BINARIES = ("sluice-controller", "sluice-agent")


def stage(name):
    """The text of one stage and of those it stands on, base image aside."""
    text = re.search(rf"^FROM (\S+) AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S)
    parent = text.group(1)
    return (stage(parent) if re.fullmatch(r"[a-z]+", parent) else "") + text.group(2)


def packages(text):
    joined = text.replace("\\\n", " ")
    return {word for line in re.findall(r"--no-install-recommends ([^&\n]*)", joined)
            for word in line.split() if re.fullmatch(r"[a-z][a-z0-9.+-]+", word)}


class Images(unittest.TestCase):
    def test_both_ways_make_the_same_user_and_entry_points(self):
        self.assertIn("--user 65532:65532", BUILD)
        for name in BINARIES:
            text = stage(name.removeprefix("sluice-"))
            self.assertEqual(re.findall(r"^USER (\S+)$", text, re.M)[-1], "65532:65532")
            self.assertIn(f'ENTRYPOINT ["/bin/{name}"]', text)
            self.assertIn(f"bin/{name} /bin/", text)

    def test_it_builds_with_the_packages_that_building_needs(self):
        pattern = re.search(r"grep -E '(\^.*\$)'", DOCKERFILE).group(1)
        lines = (ROOT / "deploy/local/packages.txt").read_text().splitlines()
        listed = [p for line in lines if not line.startswith("#") for p in line.split()]
        taken = {p for p in listed if re.search(pattern, p)}
        self.assertLessEqual({p for p in listed if p.endswith("-dev") and "clang" not in p}, taken)
        self.assertLessEqual({"cmake", "ninja-build", "pkg-config", "protobuf-compiler-grpc"}, taken)
        self.assertFalse(taken & {"containerd", "runc", "prometheus", "buildah"})

    def test_the_roots_that_are_trusted_lie_where_the_linked_in_openssl_looks(self):
        found = [b for b in BINARIES if (ROOT / "build/release/bin" / b).exists()]
        if not found:
            self.skipTest("no release build here")
        for name in found:
            binary = ROOT / "build/release/bin" / name
            looked = set(re.findall(rb"(/[\w/.-]+)/cert\.pem\0", binary.read_bytes()))
            self.assertTrue(looked, f"{name} names no file of roots")
            with tempfile.TemporaryDirectory() as folder:
                stage_of = re.search(r"^stage\(\).*?^}$", BUILD, re.M | re.S).group(0)
                subprocess.run(["bash", "-euo", "pipefail", "-c", f'{stage_of}\nstage "$1" "$2"', "stage", binary,
                                f"{folder}/root"], check=True)
                for each in looked:
                    link = pathlib.Path(f"{folder}/root{each.decode()}/cert.pem")
                    self.assertTrue(link.is_symlink(), f"{name}: nothing at {each.decode()}/cert.pem")
                    roots = pathlib.Path(f"{folder}/root{link.readlink()}").read_text()
                    self.assertIn("BEGIN CERTIFICATE", roots)

    @unittest.skipUnless(shutil.which("dpkg"), "compares with Debian's own packages")
    def test_every_library_that_a_binary_loads_is_installed(self):
        found = [b for b in BINARIES if (ROOT / "build/release/bin" / b).exists()]
        if not found:
            self.skipTest("no release build here")
        for name in found:
            loads = subprocess.run(["ldd", ROOT / "build/release/bin" / name], check=True,
                                   capture_output=True, text=True).stdout
            paths = [str(pathlib.Path(p).resolve()) for p in re.findall(r"=> (/\S+)", loads)]
            owners = subprocess.run(["dpkg", "-S", *paths], capture_output=True, text=True).stdout
            needs = {line.split(":")[0] for line in owners.splitlines()}
            given = packages(stage(name.removeprefix("sluice-")))
            closure = set(given)
            for _ in range(4):  # what those depend on comes with them
                depends = subprocess.run(["dpkg-query", "-W", "-f", "${Depends}, ${Pre-Depends}, ",
                                          *sorted(closure)], capture_output=True, text=True).stdout
                closure |= set(re.findall(r"(?:^|, )([a-z][a-z0-9.+-]+)", depends))
            self.assertLessEqual(needs - {"libc6"}, closure, name)


if __name__ == "__main__":
    unittest.main()
