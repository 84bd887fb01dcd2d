"""The stores: durable truth behind the port ``ports.Store``. ``opening.open_store`` makes one from a URL."""
