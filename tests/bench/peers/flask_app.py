"""Flask with the graph loaded once per process.

gunicorn tests.bench.peers.flask_app:app --workers WORKERS --worker-class gthread --threads 4
"""

from flask import Flask, Response, jsonify, request

from tests.bench.peers.model import Model

app = Flask(__name__)
model = Model()


@app.get("/health")
def health() -> Response:
    return jsonify(status="ok")


@app.post("/predict")
def predict() -> Response:
    return jsonify(model.classify(request.files["image"].read()))
