"""Which connections network policies let through: their rules, evaluated over made-up pods.

After https://kubernetes.io/docs/concepts/services-networking/network-policies: policies add up; a
pod that none selects for a direction is open in it; both ends must agree. Ports are the pod's.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """A pod, or with ``namespace`` empty an address outside of the cluster."""

    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    address: str = "10.4.0.9"


@dataclass(frozen=True)
class Network:
    """The policies of one namespace, and the labels of all namespaces."""

    namespace: str
    policies: list[Object]

    def allows(self, source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
        """Whether a connection from one to the other gets through."""
        return self._passes("Egress", source, target, port, protocol) and self._passes(
            "Ingress", target, source, port, protocol
        )

    def _passes(self, way: str, pod: Peer, other: Peer, port: int, protocol: str) -> bool:
        if pod.namespace != self.namespace:
            return True  # another namespace's policies are not ours
        specs = [p["spec"] for p in self.policies]
        bound = [s for s in specs if way in s["policyTypes"] and selects(s["podSelector"], pod)]
        if not bound:
            return True
        peers = "to" if way == "Egress" else "from"
        return any(
            self._has_peer(rule.get(peers), other) and has_port(rule.get("ports"), port, protocol)
            for spec in bound
            for rule in spec.get(way.lower(), [])
        )

    def _has_peer(self, peers: list[Object] | None, other: Peer) -> bool:
        return not peers or any(self._is_peer(peer, other) for peer in peers)

    def _is_peer(self, peer: Object, other: Peer) -> bool:
        assert set(peer) <= {"ipBlock", "podSelector", "namespaceSelector"}
        if "ipBlock" in peer:
            return in_block(peer["ipBlock"], other.address)
        if not other.namespace:
            return False
        spaces = peer.get("namespaceSelector")
        named = Peer(labels={"kubernetes.io/metadata.name": other.namespace})
        here = other.namespace == self.namespace if spaces is None else selects(spaces, named)
        return here and selects(peer.get("podSelector", {}), other)


def selects(selector: Object, pod: Peer) -> bool:
    """Whether a label selector takes the pod; an empty one takes all."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    if not selector.get("matchLabels", {}).items() <= pod.labels.items():
        return False
    return all(_holds(one, pod.labels) for one in selector.get("matchExpressions", []))


def _holds(expression: Object, labels: dict[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    if operator == "Exists":
        return key in labels
    assert operator == "In"
    return labels.get(key) in expression["values"]


def has_port(ports: list[Object] | None, port: int, protocol: str) -> bool:
    """Whether a rule's ports take this one; no list takes all."""
    return not ports or any(
        one["port"] == port and one.get("protocol", "TCP") == protocol for one in ports
    )


def in_block(block: Object, address: str) -> bool:
    """Whether an address is in the block and in none of its exceptions."""
    found = ipaddress.ip_address(address)
    inside = found in ipaddress.ip_network(block["cidr"])
    return inside and not any(found in ipaddress.ip_network(one) for one in block.get("except", []))
