"""What the playground's stories claim, by the engine that runs them."""

import itertools
import re

import numpy as np
import pytest

PARTS = """() => Stories.flatMap(({ name, parts }) => parts.map(({ settings, run, holds, text, then }) => {
  const session = new Engine.Session(settings, Tasks.make(settings.task, settings.noise));
  const losses = [session.lossOf("network")];
  for (let step = 0; step < run; step += 1) {
    session.advance();
    losses.push(session.lossOf("network"));
  }
  const { found, predicted, matrix, values } = Engine.facts(session);
  const [list, kernels] = [(each) => Array.from(each), [session.kernel, matrix]];
  return { name, holds, text, then, facts: found, losses, kernels: kernels.map(list), seen: session.task.seen ?? null,
    start: list(session.eigenvalues).map((value) => value * session.rate / 2), network: list(predicted.network),
    y: list(session.task.y), truth: list(session.task.truth) };
}))"""


@pytest.fixture(scope="module")
def parts(engine):
    """Every part of every story at its end: {name, holds, text, then, facts, losses, kernels, …}."""
    return engine.evaluate(PARTS)


def test_what_the_stories_say_is_true(parts):
    assert len({part["name"] for part in parts}) == 6
    wrong = []
    for part in parts:
        assert part["holds"]
        for fact, (side, bound) in part["holds"].items():
            value = part["facts"][fact]
            if value is None or not (value > bound if side == "above" else value < bound):
                wrong.append((part["name"], fact, value, side, bound))
    assert wrong == []


def test_a_network_that_is_called_lazy_has_a_small_gap(parts):
    """One meaning everywhere: the largest gap is below 5 %."""
    for part in parts:
        if re.search(r"\[\[lazy|is lazy", part["text"] + part["then"]):
            assert ("not lazy" in part["text"] + part["then"]) == (part["facts"]["largestGap"] >= 0.05)


def test_numbers_in_the_texts_are_those_of_the_run(parts):
    shares = 0
    for part in parts:
        facts = part["facts"]
        for count in re.findall(r"^Only (\d+)\b", part["then"]):
            assert int(count) == facts["networkRight"], part["then"]
            shares += 1
        for number in re.findall(r"\b(0\.\d\d)\b", part["then"]):
            means = (facts[name] for name in ("withinStart", "acrossStart", "withinNow", "acrossNow"))
            assert number in {f"{mean:.2f}" for mean in means}, part["then"]
            shares += 1
        for number in re.findall(r"([\d.]+) %", part["then"]):
            digits = len(number.partition(".")[2])
            told = {f"{100 * facts[name]:.{digits}f}" for name in ("largestGap", "motion", "drift")}
            assert number in told | {"1", "5"}, part["then"]  # two bounds
            shares += 1
    assert shares > 18


def test_the_sentence_about_motion_and_gap(parts):
    ntk, mean_field = (part["facts"] for part in [part for part in parts if "always lazy" in part["name"]][::2])
    assert mean_field["motion"] > ntk["motion"]
    assert ntk["largestGap"] > mean_field["largestGap"]


def relative(kernel, n):
    values = np.reshape(kernel, (n, n))
    return values / np.sqrt(np.outer(values.diagonal(), values.diagonal()))


def pairs(part, kernel):
    """Values between different sequences by (same first sign, same last sign)."""
    n, seen = len(part["y"]), np.array(part["seen"])
    same = seen[:, None] == seen[None]
    key = 2 * same[..., 0] + same[..., -1]
    off = ~np.eye(n, dtype=bool)
    return {k: relative(kernel, n)[off & (key == k)].mean() for k in range(4)}


def effects(part):
    """By how much the kernel at the start is larger for sequences that have a sign in common, sign by sign."""
    n, seen = len(part["y"]), np.array(part["seen"])
    values, off = relative(part["kernels"][0], n), ~np.eye(n, dtype=bool)
    same = seen[:, None] == seen[None]
    return [values[off & same[..., t]].mean() - values[off & ~same[..., t]].mean() for t in range(seen.shape[1])]


def test_what_the_kernels_show(parts):
    """Blocks that the stories point at, computed from the whole kernels."""
    by = {name: [part for part in parts if part["name"] == name] for name in {part["name"] for part in parts}}
    clouds = by["Make it learn features"][1]
    start, now = (np.reshape(kernel, (12, 12)) for kernel in clouds["kernels"])
    across = np.not_equal.outer(clouds["y"], clouds["y"])
    for matrix, name in ((start, "acrossStart"), (now, "acrossNow")):
        assert relative(matrix, 12)[across].mean() == pytest.approx(clouds["facts"][name])
    assert now.diagonal().mean() > 5 * start.diagonal().mean()
    learnt = pairs(by["What the kernel cannot learn"][1], by["What the kernel cannot learn"][1]["kernels"][1])
    assert learnt[3] > 0.5 > 0.2 > max(learnt[0], learnt[1], learnt[2])
    short, long = (pairs(part, part["kernels"][0]) for part in (by["Remember the first sign"][k] for k in (1, 4)))
    assert min(short[1], short[3]) > 0.8 > 0.3 > max(short[0], short[2])  # the last sign counts
    assert min(long[2], long[3]) > 0.6 > 0.4 > max(long[0], long[1])  # the first sign counts
    last, first, equal = (effects(by["Remember the first sign"][k]) for k in (1, 4, 2))
    assert last[5] > 5 * max(last[:5])
    assert first[0] > 3 * max(first[1:])
    assert 0.5 * max(equal) < equal[0] < 2.5 * min(equal)  # no sign stands out


def test_dots_of_the_unseen_sequences(parts):
    part = next(part for part in parts if "every blue dot" in part["then"])
    shown = np.array(part["network"]) * part["truth"]
    assert shown.min() > 0
    assert (shown < 0.8).sum() > 10  # many do not reach their bars


def test_the_catapult_rises_twice(parts):
    part = next(part for part in parts if "catapult" in part["then"])
    first, before, again, end = (part["losses"][k] for k in (5, 24, 40, 150))
    assert first > again > 5 * before > 5 * end
    assert np.sum(np.array(part["start"]) > 1) == 2  # eigenvalues above the limit
    assert part["start"][0] == pytest.approx(1.6)


TASKS = """() => ["sequences", "first", "last"].map((name) => {
  const { seen, unseen, y, truth } = Tasks.make(name, 0);
  return { seen, unseen, y: Array.from(y), truth: Array.from(truth) };
})"""


def test_the_three_targets_of_the_sequences(engine):
    made = engine.evaluate(TASKS)
    labels = (lambda signs: signs[0] * signs[-1], lambda signs: signs[0], lambda signs: signs[-1])
    for task, label in zip(made, labels, strict=True):
        assert sorted(task["seen"] + task["unseen"]) == sorted(map(list, itertools.product((-1, 1), repeat=6)))
        assert sorted(task["seen"]) == sorted(made[0]["seen"])  # the same sequences are seen
        assert task["y"] == [label(signs) for signs in task["seen"]]
        assert task["truth"] == [label(signs) for signs in task["unseen"]]


MEMORY = """(variance) => {
  const network = Engine.NETWORKS.elman({ width: 256, inputs: 12, length: 6, activation: "relu", variance });
  const [one, all] = [(delta) => delta.reduce((sum, each) => sum + each * each, 0), { first: 0, last: 0 }];
  for (let seed = 1; seed <= 12; seed += 1) {
    const weights = Float64Array.from({ length: network.size }, Engine.generator(seed).normal);
    const x = Float64Array.from([1, 1, -1, 1, -1, 1, 1, 1, 1, 1, -1, 1]);
    const ofA = network.factors(weights, x).uses.filter(({ input }) => input.length === 2);
    all.last += one(ofA[0].delta);
    all.first += one(ofA[5].delta);
  }
  return all.first / all.last;
}"""


@pytest.mark.parametrize("variance", [0.25, 2, 4])
def test_what_the_last_answer_says_of_memory(engine, variance):
    """One pass through W multiplies the squared derivative by half the variance; five passes lie between the signs."""
    assert engine.evaluate(MEMORY, variance) == pytest.approx((variance / 2) ** 5, rel=0.4)
