"""Tests against whole programs: Kafka, TimescaleDB, a browser, a running platform, and one under kills."""
