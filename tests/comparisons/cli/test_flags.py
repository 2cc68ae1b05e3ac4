"""Where NAME may stand, what a misspelt word is answered with, and errors in terms of flags."""

import doctest
from pathlib import Path

import pytest

from comparisons.cli import flags, formats, inventory
from comparisons.cli.command import main
from comparisons.cli.flags import in_flags, name_first
from lab.errors import LabError

NAMES = ["all", "width", "phases"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("width --preset fast", "width"),
        ("--preset fast width", "width"),
        ("--preset=fast width", "width"),
        ("--preset fast width --widths 1 2", "width"),
        ("--widths 64 128 width", "width"),
        ("--out width phases", "phases"),  # a value of a run option is no name
        ("--out=width phases", "phases"),
        ("--dry-run width", "width"),
        ("--no-progress all", "all"),
        ("--seeds 3 mine.py --widths 4", "mine.py"),
        ("--config mine.toml --seeds 3 width", "width"),
        ("--preset fast widht", "widht"),
        ("--preset fast widht --seeds 3", "widht"),
        ("--dry-run widht", "widht"),
        ("widht --preset fast", "widht"),
    ],
)
def test_options_may_come_before_the_name(words, name):
    given = words.split()
    others = list(given)
    others.remove(name) if given[0] == name else others.pop(len(given) - 1 - given[::-1].index(name))
    assert name_first(["run", *given], NAMES) == ["run", name, *others]


@pytest.mark.parametrize("words", ["", "--help", "--preset fast", "--preset fast -h", "--seeds 3", "--out width"])
def test_without_a_name_nothing_moves(words):
    assert name_first(["run", *words.split()], NAMES) == ["run", *words.split()]


def test_the_same_is_run_wherever_the_name_stands(toy, capsys):
    said = []
    for words in ("toy --widths 4 8 --preset full --dry-run", "--widths 4 8 --preset full toy --dry-run",
                  "--dry-run --preset full --widths 4 8 toy"):  # fmt: skip
        assert main(["run", *words.split()]) == 0
        said.append(capsys.readouterr().out)
    assert said[0].startswith("cells      8, of which 0 are committed in runs/toy-full")
    cells = {text.split("forecast")[0] for text in said}
    assert len(cells) == 1


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("lst", "list"),
        ("Show here", "show"),
        ("run tpy", "toy"),
        ("run --preset fast tpy", "toy"),
        ("run toy --scael 2", "--scale"),
        ("run toy --dry_rnu", "--dry-run"),
        ("run all --wokers 2", "--workers"),
        ("show --stile lecture here", "--style"),
        ("report here --oot page.html", "--out"),
        ("run toy --preset defualt", "default"),
        ("run all --preset ful", "full"),
        ("run toy --executor proceses", "processes"),
        ("run toy --trouble Raise", "raise"),
        ("run toy --config c.toml", "scale"),
        ("show here --style lectur", "lecture"),
    ],
)
def test_a_misspelt_word_names_the_similar_one(toy, capsys, words, meant):
    main(["run", "toy", "--executor", "serial", "--out", "here"])
    Path("c.toml").write_text("scael = 2\n")
    capsys.readouterr()
    assert main(words.split()) == 2
    said = capsys.readouterr()
    assert f"(did you mean '{meant}'?)" in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ("run width --critical-fraction -1", "--critical-fraction: got -1.0"),
        ("run width --task nowhere.csv", "--task: got nowhere.csv"),
        ("run practice --sets nowhere", "--sets: got 'nowhere'"),
        ("run width --network gru --trained A", "--trained: got ('A',) with --network gru;"),
        ("run width --network gru --trained A", "Fix: leave --trained out."),
        ("run width --samples 1", "Fix: pass --samples 2 or more."),
        ("run width --workers 0", "--workers: got 0"),
        ("run width --shard x", "Fix: write --shard 1/4, in a Slurm array --shard $SLURM_ARRAY_TASK_ID/$SLURM"),
        ("run width --device tpu", "Fix: leave --device out for the processor."),
        ("run width --scheduler tcp://h:1", "Fix: add --executor dask."),
        ("run all --config c.toml", "--config: got 'c.toml' for all"),
        ("show here --style baroque", "--style: got 'baroque'"),
        ("show nowhere", "lazylab: directory: got 'nowhere'"),
    ],
)
def test_messages_speak_of_flags(toy, capsys, words, flag):
    main(["run", "toy", "--executor", "serial", "--out", "here"])
    assert main(words.split()) == 2
    assert flag in capsys.readouterr().err


def test_another_run_is_refused_in_flags(toy, capsys):
    toy_here = ["run", "toy", "--executor", "serial", "--out", "here", "--no-progress"]
    main(toy_here)
    assert main([*toy_here, "--scale", "2"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("lazylab: --out: got 'here', which holds another run: scale is 1.0 there and 2.0 here")
    assert said.endswith("Fix: choose another --out.\n")


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("pass seeds=2 or more", "pass --seeds 2 or more"),
        ("with rates=(0.5, 1e-3).", "with --rates 0.5 1e-3."),
        ("use name='a b', or", "use --name a b, or"),
        ("with centred=True or centred=False", "with --centred or --no-centred"),
        ("see `data_seed` and data_seed", "see --data-seed and --data-seed"),
        ("the seeds of a name", "the seeds of a name"),  # words of the language
        ("more_seeds=2, my_data_seed, `lazylab run seeds`", "more_seeds=2, my_data_seed, `lazylab run seeds`"),
        ("scale is 1.0 there", "scale is 1.0 there"),
    ],
)
def test_settings_in_a_text_become_flags(text, flags):
    names = ("seeds", "rates", "name", "centred", "data_seed")
    said = in_flags(LabError("data_seed", "3", text, "fix"), names)
    assert said == f"--data-seed: got 3; allowed: {flags}. Fix: fix."
    assert in_flags(LabError("directory", "3", text, "fix"), ()) == f"directory: got 3; allowed: {text}. Fix: fix."


def test_a_comparison_without_files_says_so_and_what_it_takes(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("1,2,3\n")
    assert main(["run", "required_width", "--task", "mine.csv"]) == 2
    wanted = (
        "--task: got 'mine.csv'; allowed: one of digits, separable. Fix: choose one of these: this setting takes no"
    )
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize("module", [flags, formats, inventory])
def test_examples(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
