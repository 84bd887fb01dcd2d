"""The service: durable turns and live events of long-lived agents over HTTP."""
