"""A real Kubernetes API server for tests: etcd and kube-apiserver on free ports, and a node that runs what is asked.

    binaries -> server.ControlPlane -> fixtures (pytest)
                                    -> node.FakeNode

`README.md` beside this file has examples.
"""
