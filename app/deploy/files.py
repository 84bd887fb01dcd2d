"""The deployment files: a literal table of what lies beside this module, so that an installed wheel has them, too.

They are whole and work as they are, with the defaults of the settings; what one has to change is marked ``CHANGE``.
"""

from pathlib import Path
from typing import NamedTuple


class DeploymentFile(NamedTuple):
    """``file`` lies beside this module, or in a folder there; ``place`` is where it is meant to go."""

    name: str
    file: str
    place: str
    purpose: str

    def text(self) -> str:
        return Path(__file__).parent.joinpath(self.file).read_text("utf-8")


FILES = (
    DeploymentFile("nginx", "nginx.conf", "/etc/nginx/conf.d/pygents.conf", "a server of nginx in front of it"),
    DeploymentFile("caddy", "Caddyfile", "/etc/caddy/Caddyfile", "a site of Caddy in front of it, with TLS by itself"),
    DeploymentFile("systemd", "pygents.service", "/etc/systemd/system/pygents.service", "a sandboxed systemd unit"),
    DeploymentFile("kubernetes", "kubernetes.yaml", "kubectl apply -f", "one replica with a volume and probes"),
    DeploymentFile("grafana", "grafana/pygents.json", "Dashboards, New, Import", "a dashboard"),
    DeploymentFile("prometheus", "prometheus/alerts.yaml", "/etc/prometheus/rules/pygents.yaml", "alert rules"),
)


def find(name: str) -> DeploymentFile | None:
    """The file of that name; None if there is none."""
    return next((file for file in FILES if file.name == name), None)
