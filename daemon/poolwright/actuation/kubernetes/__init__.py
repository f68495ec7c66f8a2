"""What the kubernetes provider is made of: credentials, requests, watches, counts, findings."""
