"""What a model says of an image."""

from pydantic import Field

from worker.contract.base import Answered


class Prediction(Answered):
    """A label and its score."""

    label: str = Field(description="Its number, where the model has no labels.")
    score: float


class PredictionResult(Answered):
    """What was asked of one image."""

    predictions: list[Prediction] = Field(description="The best first, as many as `top` says.")
