"""The chart: what it makes is what Kubernetes takes, it may do little, and a wrong value is refused by its name."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.chart_values import COLLECT, DASHBOARD, EXPOSED, FILES, LARGE, OF_FLEET, ONE, OWN
from support.charts import CHART, RefusedError, documents, linted, rendered, require_helm

from edgeaudio import __version__
from edgeaudio.agent import agent
from edgeaudio.agent.reloader import AT_START
from edgeaudio.cli import parser
from edgeaudio.settings.places import COLLECT_DATABASE_VARIABLE, FLEET_DATABASE_VARIABLE
from edgeaudio.shards import MAX_COUNT, ordinal_of
from edgeaudio.toml_reader import loads
from tools.maintenance.chart_schema import SCHEMA, SET_BY_CHART, with_settings, written

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "balena" / "Dockerfile").read_text()
JOB = ROOT / "deploy" / "kubernetes" / "archive-job.yaml"
OLDEST = "1.27"
# the oldest that the chart is for, two between, and the newest whose schemas are here (None)
VERSIONS = (OLDEST, "1.30", "1.33", None)


def strictly_valid(manifest: dict[str, Any], version: str | None) -> str:
    """Validate a manifest against the schemas of a version of Kubernetes, unknown fields too; returns the version."""
    require_helm()  # of the same extra
    import kubernetes_validate  # noqa: PLC0415 (an extra that may be absent)
    from kubernetes_validate import utils  # noqa: PLC0415

    if not hasattr(utils.schema_contents, "cache_info"):
        utils.schema_contents = functools.cache(utils.schema_contents)
    return str(kubernetes_validate.validate(manifest, version or kubernetes_validate.latest_version(), strict=True))


def pods(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the specifications of the pods."""
    return [
        each["spec"]["template"]["spec"] for each in rendered(values).manifests if "template" in each.get("spec", {})
    ]


@pytest.mark.parametrize("values", FILES.values(), ids=FILES)
def test_helm_lint_finds_no_fault(values: dict[str, Any]) -> None:
    assert linted(values) == []


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("values", FILES.values(), ids=FILES)
def test_kubernetes_takes_every_manifest(values: dict[str, Any], version: str | None) -> None:
    manifests = rendered(values).manifests
    assert len(manifests) > 3
    for manifest in manifests:
        assert strictly_valid(manifest, version).startswith("1.")


def test_a_field_that_kubernetes_does_not_know_would_be_found() -> None:
    manifest = rendered(ONE).one("StatefulSet")
    manifest["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRoot"] = True
    with pytest.raises(Exception, match="readOnlyRoot"):
        strictly_valid(manifest, OLDEST)


def test_the_chart_is_of_this_version_and_for_the_versions_that_are_tried() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"shrads": 3}, "'shrads' not allowed"),
        ({"shards": "3"}, "at '/shards'"),
        ({"shards": 0}, "at '/shards'"),
        ({"sources": {"porch": {"uri": "rtsp://x"}}}, "'uri' not allowed"),
        ({"sources": {"porch": {"url": "rtsp://x", "password": "hunter2"}}}, "'password' not allowed"),
        ({"sources": {"porch": {"enabled": True}}}, "missing property 'url'"),
        ({"sources": {"Porch cam": {"url": "rtsp://x"}}}, "Porch cam"),
        ({"sources": {"porch": {"url": "rtsp://x", "latency_ms": 501}}}, "at '/sources/porch/latency_ms'"),
        ({"sources": {"porch": {"url": "rtsp://x\r"}}}, "sources.porch.url: it begins or ends with a blank"),
        ({"settings": {"mqtt": {"adress": "x"}}}, "'adress' not allowed"),
        ({"settings": {"mqtt": {"password": "hunter2"}}}, "'password' not allowed"),
        ({"settings": {"device": "other"}}, "'device' not allowed"),
        ({"settings": {"shard": {"count": 3}}}, "'shard' not allowed"),
        ({"image": {"repository": "a b"}}, "at '/image/repository'"),
        ({"resources": {"requests": {"cpus": "1"}}}, "'cpus' not allowed"),
        ({"sizing": {"codec": "mp3"}}, "at '/sizing/codec'"),
        ({"credentials": "logins"}, "at '/credentials'"),
        ({"collect": {"enabled": True}}, "collect.databaseSecret: name the Secret"),
        ({"dashboard": {"enabled": True, "expose": True}}, "dashboard.expose: others than this pod need a login"),
        ({"tls": {"secret": "ca"}, "settings": {"mqtt": {"url": "mqtt://b"}}}, "tls.secret: settings.mqtt.url must be"),
        ({"tls": {"clientCertificate": True}}, "tls.clientCertificate: name in tls.secret the Secret"),
        ({"sizing": {"streams": None}}, "missing property 'streams'"),
        ({"dashboard": None}, "missing property 'dashboard'"),
        ({**ONE, **OWN}, "sources: they are in existingConfigMap"),
        ({"sources": {f"a{n}": {"url": "rtsp://" + "x" * 10000} for n in range(120)}}, "edgeaudio reads 1000000"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RefusedError, match=re.escape(complaint)) as refused:
        rendered(values)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"sources": {"porch": {"url": "rtsp://viewer:hunter2@10.0.0.1/"}}}, "sources.porch.url"),
        ({"settings": {"mqtt": {"url": "mqtt://viewer:hunter2@broker"}}}, "settings.mqtt.url"),
        (
            {"settings": {"transcripts": {"recogniser": "https://viewer:hunter2@speech"}}},
            "settings.transcripts.recogniser",
        ),
        ({**OWN, "settings": {"mqtt": {"url": "mqtt://viewer:hunter2@broker"}}}, "settings.mqtt.url"),
    ],
)
def test_a_login_in_an_address_is_refused_and_not_shown(values: dict[str, Any], name: str) -> None:
    with pytest.raises(RefusedError, match=re.escape(f"{name}: it holds a login")) as refused:
        rendered(values)
    assert "hunter2" not in str(refused.value)


def test_the_schema_knows_today_s_settings() -> None:
    text = SCHEMA.read_text()
    schema = json.loads(text)
    assert text == written(with_settings(schema)), "run python tools/maintenance/chart_schema.py"
    assert schema["properties"]["shards"]["maximum"] == MAX_COUNT
    assert not set(SET_BY_CHART) & set(schema["$defs"]["Settings"]["properties"])


def test_the_values_and_their_schema_have_the_same_names() -> None:
    def names(values: object, schema: dict[str, Any], at: str = "") -> None:
        free = {".sources", ".settings", ".nodeSelector", ".resources", ".collect.resources", ".dashboard.resources"}
        if at in free:
            return
        properties = schema["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        if not isinstance(values, dict):
            return
        assert set(values) == set(properties["properties"]) - {"global"}, at
        for name, value in values.items():
            inner = properties["properties"][name]
            if "$ref" in inner:
                inner = whole["$defs"][inner["$ref"].rpartition("/")[2]]
            names(value, inner, f"{at}.{name}")

    whole = json.loads(SCHEMA.read_text())
    names(yaml.safe_load((CHART / "values.yaml").read_text()), whole)


@pytest.mark.parametrize("values", FILES.values(), ids=FILES)
def test_every_pod_may_do_little(values: dict[str, Any]) -> None:
    specifications = pods(values)
    assert specifications
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    for pod in specifications:
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False  # its variables would say what runs beside it
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == int(user)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(pod)
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}
        mounted = {each["name"] for each in container["volumeMounts"]}
        claimed = {"data"} - {each["name"] for each in pod["volumes"]}  # a template's
        assert mounted == {each["name"] for each in pod["volumes"]} | (claimed & mounted)
        assert not any("hostPath" in each for each in pod["volumes"])
        # what is replaced reaches a folder alone
        assert not any("subPath" in each for each in container["volumeMounts"])


def test_secrets_are_named_and_never_held() -> None:
    for values in FILES.values():
        assert "Secret" not in {each["kind"] for each in rendered(values).manifests}
    pod = rendered(LARGE).one("StatefulSet")["spec"]["template"]["spec"]
    volumes = {each["name"]: each for each in pod["volumes"]}
    named = [each["secret"]["name"] for each in volumes["credentials"]["projected"]["sources"]]
    assert named == LARGE["credentials"]
    assert volumes["tls"]["secret"]["secretName"] == "broker-ca"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_the_url_of_the_database_is_a_file_for_the_collector_and_the_page() -> None:
    whole = rendered(OF_FLEET)
    for name, kind, variable, secret in (
        ("hall-edgeaudio-collect", "StatefulSet", COLLECT_DATABASE_VARIABLE, "database"),
        ("hall-edgeaudio-dashboard", "Deployment", FLEET_DATABASE_VARIABLE, "page-database"),
    ):
        volumes = {each["name"]: each for each in whole.one(kind, name)["spec"]["template"]["spec"]["volumes"]}
        mounts = {each["mountPath"]: each["name"] for each in whole.container(name, kind)["volumeMounts"]}
        folder, _, key = whole.variables(name, kind)[variable].removeprefix("@").rpartition("/")
        assert key == "url"
        assert volumes[mounts[folder]]["secret"]["secretName"] == secret
    own = rendered(DASHBOARD)
    assert FLEET_DATABASE_VARIABLE not in own.variables("hall-edgeaudio-dashboard", "Deployment")


def test_the_page_and_the_collector_do_not_see_the_cameras() -> None:
    whole = rendered({**LARGE, **{name: {**COLLECT, **EXPOSED}[name] for name in ("collect", "dashboard")}})
    assert "camera" not in whole.toml("hall-edgeaudio-programs")
    for name, kind in (("hall-edgeaudio-collect", "StatefulSet"), ("hall-edgeaudio-dashboard", "Deployment")):
        volumes = whole.one(kind, name)["spec"]["template"]["spec"]["volumes"]
        assert "camera-logins" not in json.dumps(volumes)


def test_no_selector_takes_pods_of_another_part_or_release() -> None:
    both = {**COLLECT, "dashboard": EXPOSED["dashboard"]}
    manifests = rendered(both).manifests + rendered(both, release="other").manifests
    labels = [
        each["spec"]["template"]["metadata"]["labels"] for each in manifests if "template" in each.get("spec", {})
    ]
    assert len(labels) == 6
    for manifest in manifests:
        selector = manifest.get("spec", {}).get("selector") or manifest.get("spec", {}).get("podSelector")
        if selector:
            wanted = selector.get("matchLabels", selector)
            assert sum(wanted.items() <= each.items() for each in labels) == 1


def test_shards_share_the_sources_by_the_ordinal_of_their_pods() -> None:
    whole = rendered(LARGE)
    stateful = whole.one("StatefulSet")
    variables = whole.variables()
    assert stateful["spec"]["podManagementPolicy"] == "Parallel"
    assert (stateful["spec"]["replicas"], variables["EDGEAUDIO_SHARD__COUNT"]) == (30, "30")
    assert variables["EDGEAUDIO_SHARD__INDEX"] == "hostname"
    assert variables["EDGEAUDIO_DEVICE"] == "hall-7"
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    (mount,) = (each for each in whole.container()["volumeMounts"] if each["name"] == claim["metadata"]["name"])
    assert mount["mountPath"] == variables["EDGEAUDIO_STATE_DIR"]
    assert stateful["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    (spread,) = stateful["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "DoNotSchedule")
    assert whole.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("release", ["a", "edgeaudio", "my-edgeaudio-2", "x" * 53, "a-" * 26 + "a", "x" * 35 + "-y"])
def test_a_release_of_any_name_has_names_that_kubernetes_takes(release: str) -> None:
    everything = {**COLLECT, "dashboard": EXPOSED["dashboard"]}
    manifests = rendered(everything, release=release).manifests
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    assert len(names) == len(manifests)
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
        # a revision's label and a pod's name add eleven characters to a StatefulSet's
        assert len(name) <= 63 - 11
        if "template" in manifest.get("spec", {}) and manifest["kind"] == "StatefulSet":
            assert manifest["spec"]["serviceName"] == name
            assert ordinal_of(f"{name}-29") == 29


def test_releases_whose_long_names_begin_alike_share_no_name() -> None:
    named = [{each["metadata"]["name"] for each in rendered(release=f"{'hall-' * 9}{n}").manifests} for n in "ab"]
    assert named[0] & named[1] == set()


def test_the_notes_know_that_sources_are_in_a_configmap_of_ones_own() -> None:
    assert "the sources of ConfigMap cameras in 1 shards" in rendered(OWN).notes


@pytest.mark.parametrize("release", ["7-hall", "hall.one"])
def test_a_release_whose_services_could_have_no_name_is_refused(release: str) -> None:
    with pytest.raises(RefusedError, match="a release of this chart has a name of"):
        rendered(release=release)


def test_the_pods_find_what_the_image_has() -> None:
    """Folders, the user's own, and the program that Docker's health check calls as well."""
    variables = dict(re.findall(r"([A-Z_]+)=(/\S+)", DOCKERFILE))
    whole = rendered(ONE)
    for name in ("RUNTIME_DIRECTORY", "EDGEAUDIO_STATE_DIR"):
        assert whole.variables()[name] == variables[name]
    (check,) = re.findall(r'CMD \["sh", "-c", "(.+) \|\| exit 1"\]', DOCKERFILE)
    container = whole.container()
    assert "command" not in container  # the image's own entry point ends at a SIGTERM
    for probe in (container["startupProbe"], container["livenessProbe"]):
        assert probe["exec"]["command"] == check.split()


@pytest.mark.parametrize(
    ("values", "kind", "name"),
    [
        (LARGE, "StatefulSet", "hall-edgeaudio"),
        (DASHBOARD, "Deployment", "hall-edgeaudio-dashboard"),
    ],
)
def test_commands_and_probes_are_ones_that_there_are(values: dict[str, Any], kind: str, name: str) -> None:
    container = rendered(values).container(name, kind)
    options = parser().parse_args(container["args"])
    assert str(options.config) == "/etc/edgeaudio/edgeaudio.toml"
    for probe in ("startupProbe", "livenessProbe"):
        program, *arguments = container[probe]["exec"]["command"]
        if program == "edgeaudio":
            parser().parse_args(arguments)
        else:
            flag, code = arguments
            assert (program, flag) == ("python", "-c")
            compile(code, "probe", "exec")


def test_a_stop_has_the_time_that_the_agent_may_take() -> None:
    takes_s = agent.RECOGNISER_JOIN_S + 2 * agent.FINAL_DRAIN_S + agent.SENDER_JOIN_S + agent.SINKS_JOIN_S
    assert takes_s + agent.READERS_JOIN_S < agent.SHUTDOWN_STALL_TIMEOUT_S
    pod = rendered(ONE).one("StatefulSet")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > agent.SHUTDOWN_STALL_TIMEOUT_S + 5


def test_pods_start_anew_for_what_a_running_agent_cannot_change_and_for_nothing_else() -> None:
    def annotation(values: dict[str, Any]) -> str:
        annotations = rendered(values).one("StatefulSet")["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["edgeaudio/at-start"])

    (known,) = re.findall(r"pick .Values.settings ([^|]+) \| toJson", (CHART / "templates/_helpers.tpl").read_text())
    assert set(re.findall(r'"(\w+)"', known)) == set(AT_START) - set(SET_BY_CHART)
    plain = annotation(ONE)
    assert annotation({"sources": {"attic": {"url": "rtsp://10.0.0.2/"}}}) == plain
    assert annotation({**ONE, "settings": {"log_level": "debug", "health": {"interval_s": 10}}}) == plain
    assert annotation({**ONE, "settings": {"mqtt": {"rate_per_s": 4}}}) != plain
    # the pods of a new chart are the same
    labels = rendered(ONE).one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert not any("version" in name or "chart" in name for name in labels)


def test_the_archive_s_job_is_one_that_kubernetes_takes() -> None:
    (job,) = documents(JOB.read_text())
    for version in ("1.29", "1.33", None):
        strictly_valid(job, version)
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    (container,) = spec["template"]["spec"]["containers"]
    assert container["args"][-2:] == ["--shard", f"$(JOB_COMPLETION_INDEX)/{spec['completions']}"]
    shard = rendered(ONE).one("StatefulSet")["spec"]["template"]["spec"]
    assert spec["template"]["spec"]["securityContext"] == shard["securityContext"]
    assert container["securityContext"] == shard["containers"][0]["securityContext"]


def test_the_archive_s_job_runs_a_command_that_there_is() -> None:
    pytest.importorskip("edgeaudio.commands.archive", reason="this checkout has no edgeaudio archive")
    (job,) = documents(JOB.read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    for index in (0, job["spec"]["completions"] - 1):
        arguments = [each.replace("$(JOB_COMPLETION_INDEX)", str(index)) for each in container["args"]]
        options = parser().parse_args(arguments)
        assert (options.shard, options.workers) == ((index, job["spec"]["completions"]), 1)


@pytest.mark.parametrize("path", [CHART / "README.md", ROOT / "docs" / "centres.md"], ids=lambda path: path.name)
def test_the_values_in_the_documents_are_ones_that_the_chart_takes(path: Path) -> None:
    blocks = re.findall(r"^( *)```yaml\n(.*?)^ *```$", path.read_text(), re.MULTILINE | re.DOTALL)
    examples = [yaml.safe_load(textwrap.dedent(text)) for _, text in blocks]
    ours = [each for each in examples if set(each) & {"shards", "sources", "collect"}]
    assert len(ours) > 1
    together: dict[str, Any] = {name: value for each in ours for name, value in each.items()}
    for each in (*ours, together):
        assert rendered(each).container()


def test_commands_in_notes_and_readme_are_ones_that_there_are() -> None:
    notes = rendered(LARGE).notes
    said = re.findall(r"exec \S+ -- edgeaudio ([^`\n]+)", notes + (CHART / "README.md").read_text())
    assert len(said) == 4
    for arguments in said:
        parser().parse_args(arguments.split())


def test_the_readme_makes_values_of_a_list_of_cameras(tmp_path: Path) -> None:
    """By the shell command that it gives."""
    (command,) = re.findall(r"^ +(\(echo .*cameras\.yaml)$", (CHART / "README.md").read_text(), re.MULTILINE)
    (tmp_path / "cameras.csv").write_text("porch,rtsp://10.1.0.7/stream2\nyard,rtsp://10.1.0.8/a?channel=1&subtype=1\n")
    subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, timeout=20)
    values = yaml.safe_load((tmp_path / "cameras.yaml").read_text())
    assert values["sources"] == {
        "porch": {"url": "rtsp://10.1.0.7/stream2", "username": "viewer"},
        "yard": {"url": "rtsp://10.1.0.8/a?channel=1&subtype=1", "username": "viewer"},
    }
    assert loads(rendered(values).toml())["sources"] == values["sources"]
