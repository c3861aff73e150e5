"""The drawn heart beats, and its regions hold what they say."""

import numpy as np
import pytest

from snrtrain.simulation import heart

SHAPE = (64, 64)


def test_the_ventricle_empties_while_its_wall_keeps_its_area() -> None:
    drawn = heart.cine(SHAPE, 10, np.random.default_rng(0))
    # Sums of shares would be exact; counts of full pixels vary by the rim that is left out.
    blood = (drawn.labels == heart.BLOOD).sum(axis=(1, 2))
    assert blood.argmax() == 0 and blood.min() < 0.65 * blood[0]
    assert 0.3 <= blood.argmin() / 10 <= 0.4 and blood[-1] > 0.9 * blood[0]
    assert drawn.measured.all()
    wall = np.array([np.hypot(*np.argwhere(labels == heart.MYOCARDIUM).T.std(axis=1)) for labels in drawn.labels])
    assert wall[blood.argmin()] < wall[0], "the wall moves inwards"


@pytest.mark.parametrize("draw", [heart.cine, heart.bolus])
def test_regions_hold_one_tissue(draw) -> None:
    drawn = draw(SHAPE, 12, np.random.default_rng(1))
    assert drawn.magnitude.shape == drawn.labels.shape == (12, *SHAPE)
    assert (drawn.magnitude[:, 0] == 0).all() and drawn.magnitude.min() >= 0, "air around the thorax"
    for frame, labels in zip(drawn.magnitude[drawn.measured], drawn.labels[drawn.measured], strict=True):
        blood, myocardium = (frame[labels == label] for label in (heart.BLOOD, heart.MYOCARDIUM))
        assert min(len(blood), len(myocardium)) > 30
        # A tenth of a pixel may be the other tissue; the myocardium itself varies by 4 %.
        assert np.ptp(blood) < 0.12 and np.ptp(myocardium) < 0.2 * blood.mean()
        assert blood.mean() > 1.4 * myocardium.mean()


def test_a_bolus_reaches_blood_before_myocardium() -> None:
    drawn = heart.bolus(SHAPE, 24, np.random.default_rng(2))
    blood, myocardium = (
        np.array([frame[labels == label].mean() for frame, labels in zip(drawn.magnitude, drawn.labels, strict=True)])
        for label in (heart.BLOOD, heart.MYOCARDIUM)
    )
    assert blood[0] < 0.2 and 0 < blood.argmax() < myocardium.argmax()
    assert blood.max() == pytest.approx(1.0, abs=0.05)
    assert drawn.measured[blood.argmax()] and not drawn.measured[0] and 0.1 < drawn.measured.mean() < 0.7


def test_each_heart_is_another_one() -> None:
    one, other = (heart.cine(SHAPE, 4, np.random.default_rng(seed)).magnitude for seed in (0, 1))
    assert np.abs(one - other).mean() > 0.01
