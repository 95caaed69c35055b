"""Scope: k8s/: which connections the network policies let through, and which they refuse.

No cluster enforces them here: an evaluator of our own does (support/network_policies.py).
"""

import copy

import pytest

from support.manifests import OVERLAYS, named, of_kind, render, templates
from support.network_policies import Network, Peer, has_port, in_block, selects

HERE = "kubeflow-user"


def of(overlay: str) -> Network:
    return Network(HERE, of_kind(render(overlay), "NetworkPolicy"))


def server(name: str, overlay: str = "gpu") -> Peer:
    """A pod as its own template labels it."""
    found = next(t for o, t in templates(render(overlay)).items() if o.endswith(f"/{name}"))
    return Peer(HERE, found["metadata"]["labels"])


MLFLOW, POSTGRES = server("openmofi-mlflow"), server("openmofi-postgres")
BACKUP, NODE = server("openmofi-backup"), server("openmofi-torch")
RESTORE = server("openmofi-restore", "restore")
MINIO, BUCKETS = server("openmofi-minio", "local"), server("openmofi-buckets", "local")
RUN = Peer(HERE, {"workflows.argoproj.io/workflow": "full-abc", "pipeline/runid": "1"})
NOTEBOOK, CLIENT = Peer(HERE, {"app": "notebook"}), Peer(HERE, {"openmofi/client": "true"})
STRANGER = Peer("kubeflow-other", {"workflows.argoproj.io/workflow": "theirs"})
NAMES = Peer("kube-system", {"k8s-app": "kube-dns"})
KFP_API, METADATA = Peer("kubeflow", {"app": "ml-pipeline"}), Peer("kubeflow", {"app": "metadata"})
KFP_STORE = Peer("kubeflow", {"app": "seaweedfs"})
KUBERNETES = Peer(address="172.18.0.2")
S3, INTERNET = Peer(address="52.219.170.1"), Peer(address="93.184.216.34")
METADATA_SERVICE = Peer(address="169.254.169.254")

NEEDED = [
    (MLFLOW, POSTGRES, 5432),
    (BACKUP, POSTGRES, 5432),
    (RESTORE, POSTGRES, 5432),
    (RUN, MLFLOW, 5000),
    (CLIENT, MLFLOW, 5000),
    (KFP_API, MLFLOW, 5000),
    (RUN, KFP_API, 8887),
    (RUN, KFP_API, 8888),
    (RUN, METADATA, 8080),
    (RUN, KFP_STORE, 8333),
    (RUN, KUBERNETES, 6443),
    *((pod, NAMES, 53) for pod in (MLFLOW, BACKUP, RESTORE, RUN, NODE, MINIO)),
]
LOCAL = [(p, MINIO, 9000) for p in (MLFLOW, BACKUP, RESTORE, BUCKETS, RUN, CLIENT)]
OUTSIDE = [(pod, S3, 443) for pod in (MLFLOW, BACKUP, RESTORE, RUN)]
SEVERAL_NODES = [(NODE, NODE, 29500), (NODE, NODE, 41234), (NODE, MLFLOW, 5000), (NODE, S3, 443)]
FLOWS = {
    "local": NEEDED + LOCAL,
    "external-s3": NEEDED + OUTSIDE,
    "gpu": NEEDED + OUTSIDE + SEVERAL_NODES,
}
REFUSED = [
    (RUN, POSTGRES, 5432),
    (CLIENT, POSTGRES, 5432),
    (STRANGER, POSTGRES, 5432),
    (STRANGER, MLFLOW, 5000),
    (METADATA, MLFLOW, 5000),
    (NOTEBOOK, MLFLOW, 5000),
    (INTERNET, MLFLOW, 5000),
    (RUN, MLFLOW, 22),
    (MLFLOW, INTERNET, 80),
    (MLFLOW, KUBERNETES, 6443),
    (MLFLOW, METADATA_SERVICE, 80),
    (MLFLOW, RUN, 8080),
    (POSTGRES, INTERNET, 443),
    (POSTGRES, MLFLOW, 5000),
    (BACKUP, MLFLOW, 5000),
    (BACKUP, INTERNET, 80),
    (RUN, INTERNET, 80),
    (RUN, METADATA_SERVICE, 80),
    (RUN, RUN, 8080),
    (RUN, STRANGER, 8080),
    (STRANGER, RUN, 8080),
    (NOTEBOOK, RUN, 8080),
    (RUN, NODE, 29500),
    (NODE, POSTGRES, 5432),
    (NODE, KUBERNETES, 6443),
    (NODE, INTERNET, 80),
    (STRANGER, NODE, 29500),
]
LOCAL_REFUSED = [
    (STRANGER, MINIO, 9000),
    (NOTEBOOK, MINIO, 9000),
    (POSTGRES, MINIO, 9000),
    (MINIO, INTERNET, 443),
    (MLFLOW, S3, 443),
    (RUN, MINIO, 9001),
]
KINDS_OF_REFUSED = {
    "local": REFUSED + LOCAL_REFUSED,
    "external-s3": [*REFUSED, (MLFLOW, KUBERNETES, 443), (BACKUP, Peer(address="10.0.0.1"), 443)],
    "gpu": [*REFUSED, (NODE, Peer(address="10.0.0.1"), 443)],
}
EACH = pytest.mark.parametrize("overlay", OVERLAYS)


@EACH
def test_what_the_system_needs_gets_through(overlay: str) -> None:
    network = of(overlay)
    assert [flow for flow in FLOWS[overlay] if not network.allows(*flow)] == []


@EACH
def test_what_nobody_needs_is_refused(overlay: str) -> None:
    network = of(overlay)
    wrong = [flow for flow in KINDS_OF_REFUSED[overlay] if network.allows(*flow)]
    if overlay == "local":  # nothing selects the nodes of a training job there but the default
        wrong = [flow for flow in wrong if NODE not in flow]
    assert wrong == []


def narrowed(network: Network) -> Network:
    """With the API server's own address in the policy that leaves it open, as its comment asks."""
    policies = copy.deepcopy(network.policies)
    (rule,) = named(policies, "NetworkPolicy", "openmofi-kubernetes-api")["spec"]["egress"]
    rule["to"][0]["ipBlock"]["cidr"] = f"{KUBERNETES.address}/32"
    return Network(network.namespace, policies)


@EACH
def test_with_the_api_servers_address_a_run_reaches_no_other_private_server(overlay: str) -> None:
    network = narrowed(of(overlay))
    assert [flow for flow in FLOWS[overlay] if not network.allows(*flow)] == []
    assert not network.allows(RUN, Peer(address="10.0.0.1"), 443)
    assert network.allows(RUN, INTERNET, 443) == (overlay != "local")  # no S3 has fixed addresses


@EACH
def test_no_policy_can_be_left_out(overlay: str) -> None:
    """Each of them opens or closes one of the flows above."""
    whole = narrowed(of(overlay))
    for one in whole.policies:
        rest = Network(HERE, [other for other in whole.policies if other != one])
        changed = [f for f in FLOWS[overlay] if not rest.allows(*f)]
        changed += [f for f in KINDS_OF_REFUSED[overlay] if rest.allows(*f)]
        assert changed, one["metadata"]["name"]


def test_pods_that_are_not_ours_stay_as_they_are() -> None:
    """In KFP's single-user mode its own servers share the namespace."""
    theirs = Peer(HERE, {"app": "ml-pipeline"})
    assert of("local").allows(STRANGER, theirs, 8888)
    assert of("local").allows(theirs, INTERNET, 80)


def test_dns_goes_by_both_protocols_and_to_nobody_else() -> None:
    network = of("local")
    assert network.allows(RUN, NAMES, 53, "UDP")
    assert network.allows(MLFLOW, Peer(address="169.254.20.10"), 53, "UDP")
    assert not network.allows(MLFLOW, INTERNET, 53, "UDP")


def test_every_port_of_a_service_is_named_by_the_policy_of_its_server() -> None:
    objects = render("local")
    for service in of_kind(objects, "Service"):
        policy = named(objects, "NetworkPolicy", service["metadata"]["name"])
        ports = [p["port"] for rule in policy["spec"]["ingress"] for p in rule["ports"]]
        assert ports == [p["port"] for p in service["spec"]["ports"]]


# The evaluator, by the examples of Kubernetes' own documentation


def test_the_evaluator_adds_policies_up_and_asks_both_ends() -> None:
    pods = {"podSelector": {"matchLabels": {"role": "db"}}}
    deny = {"spec": {**pods, "policyTypes": ["Ingress", "Egress"]}}
    front = {"podSelector": {"matchLabels": {"role": "frontend"}}}
    rule = {"from": [front], "ports": [{"port": 6379}]}
    allow = {"spec": {**pods, "policyTypes": ["Ingress"], "ingress": [rule]}}
    database, frontend = Peer("a", {"role": "db"}), Peer("a", {"role": "frontend"})
    assert Network("a", []).allows(frontend, database, 6379)
    assert not Network("a", [deny]).allows(frontend, database, 6379)
    both = Network("a", [deny, allow])
    assert both.allows(frontend, database, 6379)
    assert not both.allows(frontend, database, 6380)
    assert not both.allows(Peer("b", {"role": "frontend"}), database, 6379)
    assert not both.allows(database, frontend, 80)


def test_the_evaluator_knows_and_from_or() -> None:
    space = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "b"}}}
    pod = {"podSelector": {"matchLabels": {"role": "client"}}}
    base = {"podSelector": {}, "policyTypes": ["Ingress"]}
    one = Network("a", [{"spec": {**base, "ingress": [{"from": [{**space, **pod}]}]}}])
    two = Network("a", [{"spec": {**base, "ingress": [{"from": [space, pod]}]}}])
    target = Peer("a")
    assert one.allows(Peer("b", {"role": "client"}), target, 1)
    assert not one.allows(Peer("b"), target, 1)
    assert two.allows(Peer("b"), target, 1)
    assert two.allows(Peer("a", {"role": "client"}), target, 1)


def test_the_evaluator_reads_blocks_ports_and_empty_selectors() -> None:
    block = {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}
    assert in_block(block, "172.17.2.1")
    assert not in_block(block, "172.17.1.1")
    assert has_port(None, 1, "UDP")
    assert not has_port([{"port": 1}], 1, "UDP")
    assert selects({}, Peer())
