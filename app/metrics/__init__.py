"""What is counted of the service, what is looked at when somebody asks, and both as Prometheus reads them."""
