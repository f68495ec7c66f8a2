"""What the providers of AWS share: calls and their meanings, targets, Auto Scaling groups."""
