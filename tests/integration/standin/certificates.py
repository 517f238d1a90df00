"""A private certificate authority and a certificate of it, made with openssl."""

import pathlib
import subprocess


def _openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {args[0]}: {done.stderr}")


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def authority(directory, name="stand-in"):
    """Make ca.pem and ca.key in a directory. Returns the path of the certificate."""
    directory = pathlib.Path(directory)
    # Python 3.13 refuses an authority that does not say that its key signs certificates.
    _openssl("req", "-x509", *_KEY, "-days", 2, "-subj", f"/CN={name} authority",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign",
             "-keyout", directory / "ca.key", "-out", directory / "ca.pem")
    return directory / "ca.pem"


def certificate(directory, names=("DNS:localhost", "IP:127.0.0.1", "IP:::1"), stem="server"):
    """Make a certificate of the directory's authority. Returns the path of certificate and key in one."""
    directory = pathlib.Path(directory)
    key, request, cert = (directory / f"{stem}.{end}" for end in ("key", "csr", "crt"))
    extensions = directory / f"{stem}.ext"
    extensions.write_text("subjectAltName=" + ",".join(names) + "\nbasicConstraints=CA:FALSE\n",
                          encoding="ascii")
    _openssl("req", *_KEY, "-subj", f"/CN={stem}", "-keyout", key, "-out", request)
    _openssl("x509", "-req", "-in", request, "-CA", directory / "ca.pem", "-CAkey",
             directory / "ca.key", "-CAcreateserial", "-days", 2, "-extfile", extensions,
             "-out", cert)
    both = directory / f"{stem}.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    both.chmod(0o600)
    return both
