"""A real Kubernetes control plane without Docker: API server, controllers and scheduler on etcd.

`build` makes the programs once a machine, `control_plane` runs them, `node` stands in for the one
part that needs containers, the kubelet. ``python -m testenv.kubernetes`` builds them.
"""
