from __future__ import annotations

import numpy as np
import pytest

from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.estimators import CANDIDATES, DEFAULT, Choice, best_temperature, linear_parts, search, splits
from airflow_oncall.learn.vectors import fit_vectoriser, prepare, unfitted_vectoriser


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_is_linear_and_says_what_scikit_learn_says(name: str, few: list[Example]) -> None:
    data = prepare(few)
    matrix = fit_vectoriser(data).transform(data.documents)
    estimator = Choice(name).build().fit(matrix, data.labels)
    coef, intercept = linear_parts(estimator)
    assert list(estimator.classes_[(matrix @ coef.T + intercept).argmax(axis=1)]) == list(estimator.predict(matrix))


@pytest.mark.parametrize("name", CANDIDATES)
def test_two_categories_have_a_row_of_weights_each(name: str, few: list[Example]) -> None:
    data = prepare([example for example in few if example.category in {"none", "code_error"}])
    matrix = fit_vectoriser(data).transform(data.documents)
    estimator = Choice(name).build().fit(matrix, data.labels)
    coef, intercept = linear_parts(estimator)
    assert coef.shape == (2, matrix.shape[1])
    assert list(estimator.classes_[(matrix @ coef.T + intercept).argmax(axis=1)]) == list(estimator.predict(matrix))


def test_the_search_is_bounded_and_the_same_each_time(few: list[Example]) -> None:
    data = prepare(few)

    def once() -> Choice:
        return search(unfitted_vectoriser(), data.documents, data.labels, data.groups, data.weights, rounds=3)

    found = once()
    assert found == once()
    assert found.tried == 3
    assert found.name in CANDIDATES
    assert found.macro_f1 is not None
    assert found.macro_f1 > 0.5


def test_no_rounds_and_too_few_groups_mean_the_default(few: list[Example]) -> None:
    data = prepare(few)
    alike = ["one group"] * len(data.groups)
    assert search(unfitted_vectoriser(), data.documents, data.labels, data.groups, data.weights, rounds=0) == DEFAULT
    assert search(unfitted_vectoriser(), data.documents, data.labels, alike, data.weights, rounds=3) == DEFAULT


def test_no_group_stands_on_both_sides_of_a_split(few: list[Example]) -> None:
    groups = [example.group for example in few]
    folds = splits([example.category for example in few], groups)
    assert sorted(row for _, test in folds for row in test) == list(range(len(few)))
    for train, test in folds:
        assert not {groups[row] for row in train} & {groups[row] for row in test}


def test_a_category_with_one_row_can_be_split_all_the_same() -> None:
    assert len(splits(["a", "a", "a", "b"], ["1", "2", "3", "4"])) == 3
    assert splits(["a", "b"], ["1", "1"]) == []


def test_a_boastful_model_is_cooled_down() -> None:
    scores = np.array([[9.0, 0.0]] * 10)
    truth = np.array([0] * 7 + [1] * 3)
    temperature = best_temperature(scores, truth, np.ones(10))
    assert 1 / (1 + np.exp(-9 / temperature)) == pytest.approx(0.7, abs=0.01)
