import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

import lab
from lab.errors import LabError
from lab.estimators import RNNRegressor, TangentKernelRegressor, load, save
from tests.estimators.test_learners import CHECKED

X = np.random.default_rng(0).standard_normal((20, 4, 2))
Y = X[:, 0, 0] + X[:, 1, 1]


def labels(y, kind):
    return y if kind.endswith("Regressor") else np.where(y > 0.3, "up", np.where(y < -0.3, "down", "flat"))


@pytest.mark.parametrize("estimator", CHECKED, ids=repr)
def test_what_is_loaded_predicts_the_same(estimator, tmp_path):
    fitted = estimator.fit(X, labels(Y, type(estimator).__name__))
    again = load(save(fitted, tmp_path / "model.npz"))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert again.get_params() == fitted.get_params()
    assert type(again) is type(fitted)
    np.testing.assert_array_equal(load(save(again, tmp_path / "twice.npz")).predict(X), fitted.predict(X))


def test_a_parametrization_and_labels_of_pandas_travel_too(tmp_path):
    scales = lab.Parametrization(style="ntk", sigma_b=0.3)
    model = TangentKernelRegressor(parametrization=scales, trained={"W", "b"}, penalty=np.float64(0.1)).fit(X, Y)
    np.testing.assert_array_equal(load(save(model, tmp_path / "m")).predict(X), model.predict(X))
    classifier = lab.estimators.TangentKernelClassifier().fit(X, labels(Y, "").astype(object))
    assert set(load(save(classifier, tmp_path / "c")).predict(X)) == {"up", "down", "flat"}


def test_only_fitted_estimators_of_the_lab_are_saved(tmp_path):
    with pytest.raises(NotFittedError):
        save(RNNRegressor(), tmp_path / "m")
    with pytest.raises(LabError, match="estimator"):
        save(Ridge(), tmp_path / "m")
    state = RNNRegressor(width=8, steps=2, random_state=np.random.RandomState(0)).fit(X, Y)
    with pytest.raises(LabError, match="plain"):
        save(state, tmp_path / "m")
    assert not list(tmp_path.iterdir())


class Bomb:
    def __reduce__(self):
        return (open, ("bomb", "w"))


def archive(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def meta(**changes):
    known = {"format": "lazylab estimator", "version": 1, "estimator": "RNNRegressor", "parameters": {}, "numbers": {}}
    return archive(meta=np.array(json.dumps(known | changes)))


def outside():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("../../bomb.npy", b"x")
    return buffer.getvalue()


BAD = {
    "empty": b"",
    "text": b"hello",
    "pickle": pickle.dumps(Bomb()),
    "objects": archive(meta=np.array([Bomb()], dtype=object)),
    "no meta": archive(other=np.ones(3)),
    "no json": archive(meta=np.array("{")),
    "a list": archive(meta=np.array("[1]")),
    "another format": meta(format="mine"),
    "another class": meta(estimator="Popen"),
    "a later version": meta(version=2),
    "unknown parameters": meta(parameters={"shell": True}),
    "nothing learnt": meta(),
    "a path": outside(),
    "one array": b"\x93NUMPY\x01\x00",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_and_runs_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.npz").write_bytes(BAD[name])
    with pytest.raises(LabError, match="path"):
        load("file.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["file.npz"]


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(LabError, match="No such file"):
        load(tmp_path / "none.npz")
