"""The login of a client that is to come by the proxy."""

from __future__ import annotations

import base64

import pytest
import yaml

from faultproxy import kubeconfig


def config(cluster, user):
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
            "clusters": [{"name": "other", "cluster": {"server": "https://other"}}, {"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
        }
    )


def test_only_the_server_and_its_authority_are_replaced(proxy, server, tmp_path):
    data = base64.b64encode(server.ca.encode()).decode()
    source = tmp_path / "source"
    source.write_text(config({"server": server.url, "certificate-authority-data": data}, {"token": "abc"}))
    assert kubeconfig.read(source) == kubeconfig.Cluster(server.url, server.ca)
    target = proxy.write_kubeconfig(source, tmp_path / "target")
    assert proxy.kubeconfig == target
    assert kubeconfig.read(target) == kubeconfig.Cluster(proxy.url, proxy.ca)
    before, after = (yaml.safe_load(path.read_text()) for path in (source, target))
    assert (after["users"], after["contexts"]) == (before["users"], before["contexts"])
    assert after["clusters"][0] == before["clusters"][0]
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_token_replaces_the_login(proxy, tmp_path):
    source = tmp_path / "source"
    source.write_text(config({"server": "https://x", "insecure-skip-tls-verify": True}, {"client-certificate": "x"}))
    assert kubeconfig.read(source).ca is None
    target = proxy.write_kubeconfig(source, tmp_path / "target", token="other")
    assert yaml.safe_load(target.read_text())["users"][0]["user"] == {"token": "other"}


def test_a_client_certificate_is_refused_as_no_proxy_can_pass_it_on(proxy, tmp_path):
    source = tmp_path / "source"
    source.write_text(config({"server": "https://x"}, {"client-certificate-data": "x", "client-key-data": "y"}))
    with pytest.raises(ValueError, match="only tokens"):
        proxy.write_kubeconfig(source, tmp_path / "target")
    with pytest.raises(RuntimeError):
        _ = proxy.kubeconfig


def test_an_authority_in_a_file_is_read_beside_the_kubeconfig(server, tmp_path):
    (tmp_path / "ca.pem").write_text(server.ca)
    (tmp_path / "source").write_text(config({"server": "https://x", "certificate-authority": "ca.pem"}, {}))
    assert kubeconfig.read(tmp_path / "source").ca == server.ca
