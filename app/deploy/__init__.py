"""What stands around the service: files for proxies, systemd and Kubernetes, and the table that finds them."""
