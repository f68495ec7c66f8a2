"""The past of a service from other records: the journal and Prometheus."""
