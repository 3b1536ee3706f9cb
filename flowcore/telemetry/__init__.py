"""Metrics for Prometheus and traces for OpenTelemetry, made from counters and events that the engine has anyway."""
