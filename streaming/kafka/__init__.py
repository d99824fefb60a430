"""The adapter for Apache Kafka and Redpanda, on kafka-python.

Its errors are translated here; no KafkaError leaves this folder.
What kafka-python does differently from its documentation is explained where it is worked around.
"""
