"""Traces of OpenTelemetry: what they are called (``port``), when they are on (``switch``), how they are made."""
