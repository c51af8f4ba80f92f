"""MLServer with adaptive batching and parallel inference.

    MLSERVER_MODEL_IMPLEMENTATION=tests.bench.peers.mlserver_app.Classifier mlserver start FOLDER

See its pages "Adaptive batching", "Parallel inference" and "Custom inference runtimes". `/predict`
is an endpoint of its own, which takes a form as the other peers do and is not batched;
`/v2/models/NAME/infer` takes base64 in JSON and is.
"""

import json
from typing import Annotated, Any

from fastapi import File
from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse

from tests.bench.peers.model import Model


class Classifier(MLModel):
    async def load(self) -> bool:
        self.model = Model()
        return True

    @custom_handler(rest_path="/predict")
    async def form(self, image: Annotated[bytes, File()]) -> dict[str, Any]:
        return self.model.classify(image)

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images = Base64Codec.decode_input(payload.inputs[0])
        scores = self.model.run([self.model.prepare(image) for image in images])
        answers = [json.dumps(self.model.answer(one)) for one in scores]
        return InferenceResponse(
            model_name=self.name, outputs=[StringCodec.encode_output("answer", answers)]
        )
