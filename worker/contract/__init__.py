"""The contract: what requests carry and what answers hold, each as one pydantic model.

Nothing is decided here. The OpenAPI document (`api/described/`) is made of these models, the API
builds its answers with them, and a client reads them with the same classes. So this package imports
pydantic and the models of `worker/models/` that are part of answers, and nothing that is slow to
import or that a client does not need.
"""
