"""What docker/ ships: linted, and each command and file that it names is one that there is."""
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

import kubernetes_validate
from compose_spec import PyCompose

import containers
import endpoint

BINARY = os.environ["PQL_TEST_BINARY"]
VERSIONS = ["1.27", "1.31", "1.35"]  # of Kubernetes


def pqlstream(*arguments, environment=None):
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=60, check=False,
                          env=os.environ | (environment or {}))
    return done.returncode, done.stdout + done.stderr


class Dockerfile(unittest.TestCase):
    def test_lint(self):
        hadolint = os.path.join(os.path.dirname(sys.executable), "hadolint")
        done = subprocess.run([hadolint, containers.DOCKERFILE], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        scripts = [os.path.join(containers.ROOT, name) for name in ("docker/root.sh", "docker/compose/generator.sh", "conf/debian/postinst",
                                                                    "conf/debian/prerm", "conf/debian/postrm")]
        subprocess.run(["shellcheck", *scripts], check=True, timeout=60)

    def test_it_runs_as_nobody_and_what_it_calls_is_there(self):
        self.assertEqual(containers.step("USER"), ["10001:10001"])
        self.assertEqual(containers.step("ENTRYPOINT"), ["/usr/bin/pqlstream"])
        for words in (containers.step("CMD"), containers.step("HEALTHCHECK")[1:]):
            self.assertEqual(pqlstream(words[0], "--help")[0], 0)


class Compose(unittest.TestCase):
    def test_lint(self):
        self.assertEqual(set(PyCompose.from_yaml(containers.text(containers.COMPOSE)).service_names()), set(containers.services()))
        for wrong in ("services: {a: {image: x, comand: [y]}}", "services: {a: {image: x, read_only: 5}}"):
            with self.assertRaises(ValueError):
                PyCompose.from_yaml(wrong)

    def test_every_part_of_the_picture_is_there(self):
        self.assertLessEqual({"kafka", "registry", "postgres", "connect", "prometheus", "grafana", "pqlstream", "generator"},
                             set(containers.services()))

    def test_what_it_names_is_there(self):
        services = containers.services()
        for name, service in services.items():
            needed = service.get("depends_on", {})
            self.assertLessEqual(set(needed), set(services), name)
            for other, condition in needed.items() if isinstance(needed, dict) else ():
                if condition["condition"] == "service_healthy":
                    self.assertIn("healthcheck", services[other], name)
            for volume in service.get("volumes", ()):
                path = os.path.join(containers.DOCKER, volume.split(":")[0])
                self.assertTrue(os.path.isfile(path), f"{name}: {path}")
        build = services["pqlstream"]["build"]
        self.assertTrue(os.path.isfile(os.path.join(containers.DOCKER, build["context"], build["dockerfile"])))
        self.assertEqual(services["topics"]["build"], build)

    def test_the_names_of_the_parts_agree(self):
        services, configuration = containers.services(), os.path.join(containers.DOCKER, "compose", "pqlstream.conf")
        code, words = pqlstream("check", "--config", configuration)
        self.assertEqual(code, 0, words)
        self.assertIn("0 warnings", words)
        said = containers.text(configuration)
        for place in (re.search(r'bootstrap_servers = "([^"]+)"', said)[1], services["connect"]["environment"]["BOOTSTRAP_SERVERS"],
                      re.search(r"--bootstrap-server (\S+)", services["generator"]["command"][0])[1]):
            self.assertIn(f"INSIDE://{place}", services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"])
        self.assertIn(re.search(r'registry = \{ url = "http://([a-z]+):', said)[1], services)
        self.assertIn(f'--topic {re.search(chr(123) + r" topic = .([a-z-]+)", said)[1]} ', services["generator"]["command"][0])
        self.assertIn(f'output {services["connect"]["environment"]["STATE_TOPIC"]}\n', words.replace(": json", ""))

    def test_the_connector_gets_all_that_it_asks_for(self):
        services = containers.services()
        path = os.path.join(containers.DOCKER, services["connector"]["volumes"][0].split(":")[0])
        asked = set(re.findall(r"\$\{env:(\w+)\}", containers.text(path)))
        self.assertTrue(asked)
        self.assertLessEqual(asked, set(services["connect"]["environment"]))


class Kubernetes(unittest.TestCase):
    def test_lint(self):
        for kind, manifest in containers.manifests().items():
            for version in VERSIONS:
                with self.subTest(kind=kind, version=version):
                    kubernetes_validate.validate(manifest, version, strict=True)
        wrong = containers.manifests()["StatefulSet"]
        wrong["spec"]["template"]["spec"]["containers"][0]["portz"] = []
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)

    def test_the_parts_agree(self):
        found = containers.manifests()
        pods = found["StatefulSet"]["spec"]["template"]
        labels = pods["metadata"]["labels"]
        for selector in (found["StatefulSet"]["spec"]["selector"]["matchLabels"], found["Service"]["spec"]["selector"],
                         found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]):
            self.assertEqual(selector, labels)
        self.assertEqual(found["StatefulSet"]["spec"]["serviceName"], found["Service"]["metadata"]["name"])
        self.assertEqual(pods["spec"]["volumes"][0]["configMap"]["name"], found["ConfigMap"]["metadata"]["name"])
        target = found["HorizontalPodAutoscaler"]["spec"]
        self.assertEqual(target["scaleTargetRef"], {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": found["StatefulSet"]["metadata"]["name"]})
        self.assertIn(target["metrics"][0]["pods"]["metric"]["name"],
                      containers.text(os.path.join(containers.ROOT, "conf/monitoring/alerts.yml")))
        listed = containers.yaml.safe_load(containers.text(os.path.join(containers.DOCKER, "kubernetes", "kustomization.yaml")))["resources"]
        self.assertEqual({os.path.basename(path) for path in containers.MANIFESTS} - set(listed), {"autoscaler.yaml"})

    def test_the_pod_as_the_program_sees_it(self):
        """Its configuration and environment, with the pod's name as instance, are good and without a warning."""
        found = containers.manifests()
        (container,) = found["StatefulSet"]["spec"]["template"]["spec"]["containers"]
        self.assertEqual(container["args"], containers.step("CMD"))
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as out:
            out.write(found["ConfigMap"]["data"]["pqlstream.conf"])
            out.flush()
            environment = {row["name"]: "pqlstream-0" for row in container["env"]}
            code, words = pqlstream("check", "--config", out.name, environment=environment)
            self.assertEqual(code, 0, words)
            self.assertIn("0 warnings", words)
            self.assertIn("instance = pqlstream-0 ", words)


class Health(endpoint.Endpoint):
    def health(self, job, *flags):
        return pqlstream("health", "--config", job.config_path, *flags)

    def test_of_a_process_that_runs_and_of_one_that_does_not(self):
        job, program = self.start("health")
        deadline = time.monotonic() + 90
        while self.health(job, "--ready")[0]:
            program.check_alive()
            self.assertLess(time.monotonic(), deadline, program.log_tail())
        code, words = self.health(job)
        self.assertEqual(code, 0, words)
        self.assertEqual(program.stop(), 0)
        code, words = self.health(job)
        self.assertEqual(code, 1)
        self.assertIn(f"pqlstream health: http://127.0.0.1:{self.port}/live: ", words)
        code, words = self.health(job, "--set", "http=")
        self.assertEqual(code, 2)


if __name__ == "__main__":
    unittest.main()
