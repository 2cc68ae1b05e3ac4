"""What a release holds: the wheel, the source archive, and the command that runs from the wheel alone."""

import email
import itertools
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import hatchling.build
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
STATED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = STATED["project"]
PACKAGES = ("lab", "comparisons")
ALIAS, SOURCE_OF_ALIAS = "lazylab.py", "lab/alias.py"  # for ``import lazylab``
PAGES = tuple(f"{package}/README.md" for package in PACKAGES)  # for readers of the sources
STEM = f"{PROJECT['name']}-{PROJECT['version']}"
INFO = f"{STEM}.dist-info"
EXTRAS = itertools.chain(*PROJECT["optional-dependencies"].values())
REQUIREMENTS = sorted({*STATED["build-system"]["requires"], *PROJECT["dependencies"], *EXTRAS})
PAGE = ("templates/page.html", "templates/parts.html", "static/page.css", "static/explorer.js")


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A folder with a wheel and a source archive, made by the build backend itself."""
    place, before = tmp_path_factory.mktemp("release"), Path.cwd()
    os.chdir(ROOT)
    try:
        built = hatchling.build.build_wheel(str(place)), hatchling.build.build_sdist(str(place))
    finally:
        os.chdir(before)
    assert built == (f"{STEM}-py3-none-any.whl", f"{STEM}.tar.gz")
    return place


@pytest.fixture(scope="module")
def wheel(release):
    """Names and contents of the wheel."""
    with zipfile.ZipFile(release / f"{STEM}-py3-none-any.whl") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(release, tmp_path_factory):
    """The root of the unpacked source archive."""
    place = tmp_path_factory.mktemp("sdist")
    with tarfile.open(release / f"{STEM}.tar.gz") as archive:
        archive.extractall(place, filter="data")
    return place / STEM


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with what the wheel installs, and nothing of the source tree."""
    place = tmp_path_factory.mktemp("installed")
    for name, content in wheel.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def run(place, code, *arguments):
    """What Python prints that finds the packages in this folder first."""
    command = [sys.executable, "-c", code, *arguments]
    environment = os.environ | {"PYTHONPATH": str(place), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, cwd=place.parent, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sources(root):
    """Every file of the two packages but for what Python and editors leave behind."""
    found = (path for package in PACKAGES for path in (root / package).rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix() for path in found if path.suffix != ".pyc"}


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel):
    files = {name for name in wheel if not name.startswith(f"{INFO}/")}
    assert files == sources(ROOT) - {SOURCE_OF_ALIAS, *PAGES} | {ALIAS}
    assert all(wheel[name] == (ROOT / name).read_bytes() for name in files - {ALIAS})
    assert wheel[ALIAS] == (ROOT / SOURCE_OF_ALIAS).read_bytes()


@pytest.mark.parametrize("name", [f"{package}/py.typed" for package in PACKAGES])
def test_the_types_are_offered(name, wheel):
    assert wheel[name] == b""


@pytest.mark.parametrize("name", PAGE)
def test_the_page_brings_its_own_files(name, wheel):
    assert wheel[f"comparisons/report/{name}"].strip()


def test_no_tests_and_no_notebooks_are_installed(wheel):
    tops = {name.split("/")[0] for name in wheel}
    assert tops == {*PACKAGES, ALIAS, INFO}
    assert not [name for name in wheel if name.endswith((".ipynb", ".npz", ".pyc")) or "test" in Path(name).name]


def test_the_metadata_are_those_of_the_project(wheel):
    metadata = email.message_from_bytes(wheel[f"{INFO}/METADATA"])
    assert (metadata["Name"], metadata["Version"]) == (PROJECT["name"], PROJECT["version"])
    assert (metadata["License-Expression"], metadata["License-File"]) == ("MIT", "LICENSE")
    assert wheel[f"{INFO}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert metadata["Requires-Python"] == PROJECT["requires-python"]
    plain = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert len(plain) == len(PROJECT["dependencies"])
    assert set(metadata.get_all("Provides-Extra")) == PROJECT["optional-dependencies"].keys()
    assert (
        metadata.get_payload(decode=True).decode().strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    )


def pins(file):
    """The version of every package in a file of pins."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    found = (line.split("==") for line in lines if line.strip() and not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in found}


@pytest.mark.parametrize("stated", [Requirement(line) for line in REQUIREMENTS], ids=str)
def test_the_stated_range_is_from_the_oldest_to_beyond_the_usual_versions(stated):
    [oldest] = [Version(each.version) for each in stated.specifier if each.operator == ">="]
    name = canonicalize_name(stated.name)
    assert pins("tests/oldest.txt")[name] == oldest  # else: write what the command in its head prints
    assert pins("constraints.txt")[name] in stated.specifier


ENTRY = """
import sys
from importlib.metadata import distribution
[command] = distribution("lazylab").entry_points.select(group="console_scripts")
assert command.name == "lazylab"
for line in sys.argv[1:]:
    assert command.load()(line.split()) == 0, line
"""
WHERE = "import lab, comparisons; print(lab.__file__, comparisons.__file__, lab.__version__, sep='\\n')"


def test_the_command_runs_from_the_wheel_alone(installed):
    *files, version = run(installed, WHERE).split()
    assert all(Path(file).is_relative_to(installed) for file in files)
    assert run(installed, ENTRY, "--version").split() == ["lazylab", version] == ["lazylab", PROJECT["version"]]
    assert "gradient_bounds" in run(installed, ENTRY, "list")


def test_a_run_and_its_page_need_nothing_but_the_wheel(installed):
    cheap = "run infinite_width --preset fast --seeds 1 --widths 16 --executor serial --out made"
    assert "page.html" in run(installed, ENTRY, cheap, "report made --out page.html")
    page = (installed.parent / "page.html").read_text(encoding="utf-8")
    assert "<style" in page
    assert "infinite_width" in page


def test_the_source_archive_has_what_a_builder_and_a_tester_need(sdist):
    tops = {path.name for path in sdist.iterdir()}
    files = {"CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "constraints.txt", "pyproject.toml"}
    assert files | {*PACKAGES, "tests", "notebooks"} <= tops
    assert sources(sdist) == sources(ROOT)
    assert f"## {PROJECT['version']}" in (sdist / "CHANGELOG.md").read_text(encoding="utf-8")
    assert all((sdist / name).is_file() for name in (*PAGES, "tests/benchmarks/README.md", "tests/test_packaging.py"))
    assert not [*sdist.rglob("*.pyc"), *sdist.glob("runs")]


def test_the_source_archive_builds_the_same_wheel(sdist, wheel, tmp_path, monkeypatch):
    monkeypatch.chdir(sdist)
    name = hatchling.build.build_wheel(str(tmp_path))
    with zipfile.ZipFile(tmp_path / name) as archive:
        again = {each: archive.read(each) for each in archive.namelist()}
    assert again == wheel
