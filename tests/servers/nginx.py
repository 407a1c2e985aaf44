"""A real nginx with the product's own configuration files."""

from __future__ import annotations

from pathlib import Path

from tests.servers.process import PROJECT, Server, free_port, listening, loopback

CONFIG = PROJECT / "config" / "nginx"


class Nginx:
    """One nginx that guards an app by the files of config/nginx."""

    def __init__(self, folder: Path, *, kerauno: str, app: str) -> None:
        """`kerauno` and `app` are host:port of the sign-in service and of the guarded app."""
        self.host = loopback()
        self.port = free_port(self.host)
        (folder / "logs").mkdir(parents=True)
        self._folder = folder
        self._config = folder / "nginx.conf"
        self._config.write_text(
            _CONFIG.format(
                folder=folder,
                host=self.host,
                port=self.port,
                kerauno=kerauno,
                app=app,
                door=CONFIG / "kerauno-door.conf",
                guard=CONFIG / "kerauno-guard.conf",
            )
        )
        self._server: Server | None = None

    @property
    def authority(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"

    def start(self) -> Nginx:
        """Run it; returns when it accepts connections."""
        self._server = Server(
            ["nginx", "-p", str(self._folder), "-c", str(self._config), "-e", "stderr"],
            log=self._folder / "nginx.log",
        )
        self._server.wait_for(lambda: listening(self.host, self.port))
        return self

    def stop(self) -> None:
        """End it."""
        if self._server:
            self._server.stop()


_CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/logs/error.log warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream kerauno {{ server {kerauno}; }}
    server {{
        listen {host}:{port};
        server_name {host};
        include {door};
        location / {{
            include {guard};
            proxy_pass http://{app};
        }}
    }}
}}
"""
