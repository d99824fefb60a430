"""nginx with deploy/nginx.conf and a certificate of its own in front of two ports, and a client that finds it."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from django.conf import settings

NAME = "candles.example.org"
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])  # not every account has them
PROGRAMS = {"nginx": "nginx-light", "openssl": "openssl"}
MISSING = "needs {}: apt install {}"
# Alone and in the foreground, with nothing outside its folder.
ALONE = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/candlekeep.conf;
}}
"""


def found_programs() -> dict[str, str]:
    """Return where nginx and openssl are; without one skip, and fail where CI is set."""
    paths = {program: shutil.which(program, path=PATH) for program in PROGRAMS}
    for program, path in paths.items():
        if path is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING.format(program, PROGRAMS[program]))
    return {program: str(path) for program, path in paths.items()}


@contextmanager
def terminator(programs: dict[str, str], folder: Path, tls: int, plain: int, web: int, sse: int) -> Iterator[Path]:
    """Run nginx at the ports `tls` and `plain` in front of web and sse; the path of its certificate."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    make = [programs["openssl"], "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    make += ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)

    text = (Path(settings.BASE_DIR) / "deploy" / "nginx.conf").read_text()
    for said, meant in {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{tls} ssl;",
        f"https://{NAME}$request_uri": f"https://{NAME}:{tls}$request_uri",
        f"/etc/ssl/{NAME}.pem": str(certificate),
        f"/etc/ssl/private/{NAME}.key": str(key),
        "/var/log/nginx/access.log": str(folder / "access.txt"),
        "127.0.0.1:8000": f"127.0.0.1:{web}",
        "127.0.0.1:8001": f"127.0.0.1:{sse}",
    }.items():
        assert said in text, said
        text = text.replace(said, meant)
    (folder / "candlekeep.conf").write_text(text)
    (folder / "nginx.conf").write_text(ALONE.format(folder=folder))
    with (folder / "nginx.txt").open("wb") as output:
        command = [programs["nginx"], "-p", str(folder), "-c", str(folder / "nginx.conf")]
        nginx = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield certificate
    finally:
        nginx.terminate()
        nginx.wait(20)


class ByName(httpx.BaseTransport):
    """Sends what is for NAME to this machine; everything else of the request stays as it is."""

    def __init__(self, certificate: Path) -> None:
        """Believe this certificate alone."""
        self._inner = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=str(certificate)))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request."""
        return self._inner.handle_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host="127.0.0.1"),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": NAME},
            )
        )

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()
