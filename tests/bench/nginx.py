"""nginx in front of a server, set up as the pages about running web applications have it."""

import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.bench.processor_time import family
from tests.support.polling import wait_until
from tests.support.system import free_port

# What gunicorn's page "Deploying" has, and a limit of bodies in place of nginx's 1 MB. `{kept}` is
# empty: nginx then asks by HTTP/1.0 and over a new connection each time, as it does by default.
_CONFIGURATION = """
daemon off;
error_log {folder}/error.log warn;
pid {folder}/nginx.pid;
worker_processes auto;
events {{ worker_connections 1024; accept_mutex on; }}
http {{
  access_log off;
  sendfile on;
  client_max_body_size 4G;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream app {{ server 127.0.0.1:{upstream} fail_timeout=0; {keepalive} }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    keepalive_timeout 65;
    keepalive_requests 1000000;
    location / {{
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Host $http_host;
      proxy_redirect off;
      {kept}
      proxy_pass http://app;
    }}
  }}
}}
"""
_KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'


def executable() -> str | None:
    """Return the nginx to use, or None where this machine has none."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def version() -> str:
    """Return what it says of itself."""
    program = executable()
    assert program
    said = subprocess.run([program, "-v"], stderr=subprocess.PIPE, text=True, check=True).stderr
    return said.strip().removeprefix("nginx version: ")


class Nginx:
    """One proxy before one server on this machine."""

    def __init__(self, upstream: int, *, kept: bool = False) -> None:
        program = executable()
        assert program
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="pf-nginx-"))
        configuration = self._folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=self._folder,
                upstream=upstream,
                port=self.port,
                keepalive="keepalive 64;" if kept else "",
                kept=_KEPT if kept else "",
            )
        )
        # The workers are another user's where this is root's, and must reach the folder.
        self._folder.chmod(0o755)
        self._process = subprocess.Popen(
            [program, "-c", str(configuration), "-e", str(self._folder / "error.log")],
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, within_s=20, what="nginx answers")

    def roles(self) -> dict[str, list[int]]:
        """Return its processes by role."""
        return {"nginx": [pid for pids in family(self._process.pid).values() for pid in pids]}

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "error.log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False
