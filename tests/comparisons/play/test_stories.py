"""What the playground's stories claim, by the engine that runs them."""

import itertools

import pytest

PARTS = """() => Stories.flatMap(({ name, parts }) => parts.map(({ settings, run, holds, see, look }) => {
  const session = new Engine.Session(settings, Tasks.make(settings.task, settings.noise));
  for (let step = 0; step < run; step += 1) session.advance();
  return { name, holds, see, look, facts: Engine.facts(session).found };
}))"""


def test_what_the_stories_say_is_true(engine):
    parts = engine.evaluate(PARTS)
    assert len({part["name"] for part in parts}) == 6
    wrong = []
    for part in parts:
        assert part["holds"]
        for fact, (side, bound) in part["holds"].items():
            value = part["facts"][fact]
            if value is None or not (value > bound if side == "above" else value < bound):
                wrong.append((part["name"], fact, value, side, bound))
    assert wrong == []


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
