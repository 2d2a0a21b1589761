"""What docker/ ships, as data: services of compose.yml, manifests of Kubernetes, steps of the Dockerfile."""
import glob
import json
import os
import shlex

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCKER = os.path.join(ROOT, "docker")
DOCKERFILE = os.path.join(DOCKER, "Dockerfile")
COMPOSE = os.path.join(DOCKER, "compose.yml")
MANIFESTS = sorted(path for path in glob.glob(os.path.join(DOCKER, "kubernetes", "*.yaml")) if "kustomization" not in path)


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def services():
    return yaml.safe_load(text(COMPOSE))["services"]


def manifests():
    """{kind: manifest}; each kind is there once."""
    return {found["kind"]: found for found in map(yaml.safe_load, map(text, MANIFESTS))}


def steps():
    """[(instruction, its text)] of the Dockerfile, lines joined."""
    lines = [line for line in text(DOCKERFILE).splitlines() if not line.startswith("#")]
    return [tuple(line.split(" ", 1)) for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line]


def step(instruction):
    """The words of the last step of that name, which are written as JSON, or of HEALTHCHECK behind its CMD."""
    found = [words for name, words in steps() if name == instruction][-1]
    return json.loads(found[found.index("["):]) if "[" in found else shlex.split(found)
