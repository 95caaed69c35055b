"""Calls of the Pipelines API: what is tried again, what is said when it fails."""

import socket

import pytest

from openmofi.errors import InputError
from pipelines.cluster.api import TRIES, Api
from pipelines.cluster.endpoint import Endpoint, find_endpoint
from pipelines.cluster.errors import ClusterError, NotThereError, TakenError, UncertainError
from pipelines.cluster.listing import make_experiment, user_namespace
from support.kfp_server import Fault, serving_kfp

HEALTH = ("asking", "HealthzServiceApi", "healthz_service_get_healthz")


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (
            401,
            ClusterError,
            r"refuses a request without a token \(401\): by script; give one of audience",
        ),
        (403, ClusterError, r"does not allow it to .* \(403\): by script; see --namespace"),
        (404, NotThereError, r"not found at http://127.* \(404\): by script"),
        (409, TakenError, r"has one already, or another \(409\)"),
        (302, ClusterError, r"sends us elsewhere \(302\), to log in"),
    ],
)
def test_a_refusal_is_one_line_and_not_tried_again(kfp, api, kind, error, message):
    kfp.faults.append(Fault(kind, times=9))
    with pytest.raises(error, match=message) as raised:
        api.read(*HEALTH)
    assert "\n" not in str(raised.value)
    assert len(kfp.requests) == 1


@pytest.mark.parametrize("kind", [500, 503, 429, "held", "lost", "cut", "garbage"])
def test_a_read_is_tried_again_until_it_is_answered(kfp, hurried, kind):
    kfp.faults.append(Fault(kind, times=2))
    assert hurried.multi_user() is False
    assert len(kfp.requests) == 3


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (500, r"answers 500, 5 times: by script"),
        (429, r"asks to come back later \(429\), after 5 tries"),
        ("lost", r"can't be reached \(cut short\)"),
        ("cut", r"can't be reached \(cut short\)"),
        ("garbage", r"answers, but not as a Pipelines API"),
    ],
)
def test_a_read_is_given_up_with_the_reason(kfp, api, kind, message):
    kfp.faults.append(Fault(kind, times=99))
    with pytest.raises(ClusterError, match=message):
        api.multi_user()
    assert len(kfp.requests) == TRIES


def test_no_answer_in_time_is_said(kfp, pauses):
    kfp.faults.append(Fault("held", times=99))
    api = Api(Endpoint(kfp.url), sleep=pauses.append, read_s=0.05)
    with pytest.raises(ClusterError, match=r"can't be reached \(no answer in time\)"):
        api.multi_user()


@pytest.mark.parametrize("kind", [500, 502, "held", "lost", "cut", "garbage"])
def test_a_write_whose_answer_was_lost_is_not_sent_again(kfp, hurried, kind):
    kfp.faults.append(Fault(kind, times=1))
    with pytest.raises(UncertainError):
        hurried.write(*HEALTH)
    assert len(kfp.requests) == 1


def test_a_write_is_sent_again_after_the_pause_that_the_server_asks_for(kfp, api, pauses):
    kfp.faults.append(Fault(429, headers={"Retry-After": "7"}))
    kfp.faults.append(Fault(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}))
    kfp.faults.append(Fault(429, headers={"Retry-After": "100000"}))
    api.write(*HEALTH)
    assert pauses == [7.0, 0.0, 60.0]


def test_a_server_that_is_not_there_is_named(pauses):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ClusterError, match=rf"{url} can't be reached \(connection refused\)"):
        Api(Endpoint(url), sleep=pauses.append).write(*HEALTH)
    assert pauses == [1.0, 2.0, 4.0, 8.0]  # nothing was sent: a write may be tried again


def test_nothing_is_sent_before_the_first_call(kfp):
    Api(Endpoint(kfp.url))
    assert kfp.requests == []


def test_a_token_file_is_read_for_every_call(kfp, tmp_path):
    file = tmp_path / "token"
    api = Api(Endpoint(kfp.url, token_file=file))
    for token in ("first", "second"):
        file.write_text(token + "\n")
        api.multi_user()
    assert kfp.tokens == ["first", "second"]


def test_a_token_never_shows_in_a_message(kfp, tmp_path):
    kfp.faults.append(Fault(401, body='{"message": "token s3cret is unknown"}'))
    endpoint = Endpoint(kfp.url, token="s3cret")
    with pytest.raises(ClusterError, match="refuses the token in OPENMOFI") as raised:
        Api(endpoint).multi_user()
    assert "s3cret" not in str(raised.value) + repr(endpoint)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, r"can't be read"), (" \n", r"is empty"), ("a b", r"holds no token")],
)
def test_a_bad_token_file_is_named(tmp_path, content, message):
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=message):
        Endpoint("http://x", token_file=file).bearer()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "no Pipelines API: set KF_PIPELINES_ENDPOINT"),
        ("kubeflow:8888", "is no address; write http://HOST:PORT"),
        ("http://kubeflow:port", "this is no address"),
        ("http://me:pass@kubeflow", "leave the password out"),
        ("http://kubeflow/?x=1", "is no address"),
    ],
)
def test_a_bad_address_is_refused_before_anything_is_sent(url, message):
    with pytest.raises(InputError, match=message) as raised:
        find_endpoint(url)
    assert "pass@" not in str(raised.value)


def test_the_address_and_the_token_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "http://kubeflow:8888/")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    endpoint = find_endpoint()
    assert (endpoint.url, endpoint.token_file) == ("http://kubeflow:8888", tmp_path / "token")
    monkeypatch.setenv("OPENMOFI_KFP_TOKEN", "abc")
    assert find_endpoint("https://other/pipeline").bearer() == "abc"


def test_each_user_has_a_namespace(pauses):
    with serving_kfp({"anna": {"team-a"}}) as kfp:
        api = Api(Endpoint(kfp.url, token="anna"), sleep=pauses.append)
        assert user_namespace(api, "team-a") == "team-a"
        with pytest.raises(InputError, match="has several users: name your --namespace"):
            user_namespace(api, "")
        assert make_experiment(api, "toy", "team-a")
        with pytest.raises(ClusterError, match=r"\(403\): User is not authorized in namespace b"):
            make_experiment(api, "toy", "b")
        stranger = Api(Endpoint(kfp.url), sleep=pauses.append)
        with pytest.raises(ClusterError, match=r"\(401\)"):
            make_experiment(stranger, "toy", "team-a")


def test_a_server_without_users_takes_no_namespace(api):
    assert user_namespace(api, "") == ""
    with pytest.raises(InputError, match="leave out --namespace"):
        user_namespace(api, "team-a")


def test_a_list_is_read_to_its_end(kfp, api):
    for number in range(230):
        item = {"display_name": f"e{number}"}
        kfp.add("experiments", "experiment_id", item)
    call = "experiment_service_list_experiments"
    found = api.pages("listing", "ExperimentServiceApi", call, "experiments")
    assert [e.display_name for e in found] == [f"e{n}" for n in range(230)]


def test_an_archived_experiment_is_told_before_a_run_is_refused(kfp, api):
    made = make_experiment(api, "toy", "")
    kfp.stores["experiments"][made]["storage_state"] = "ARCHIVED"
    with pytest.raises(InputError, match="experiment toy is archived"):
        make_experiment(api, "toy", "")
